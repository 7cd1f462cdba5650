// Package argv turns a command as a person writes it into words, and words
// into the arguments of a process. It knows the quotes and backslashes of a
// POSIX shell and nothing else of it: no pipes, no globs, no substitution of
// commands. No shell is ever started.
//
// In the words of a [ship.Argv] a dollar sign means:
//
//	$NAME, ${NAME}   the variable's value; the result stays one word
//	$$               a dollar sign
//	$ before else    itself
//
// [Split] writes every dollar sign that was quoted away as $$, so that what a
// person put in single quotes is still literal when [Expand] sees it.
package argv

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/shiplock/shiplock/internal/ship"
)

// Limits of a command. What is longer is a mistake or an attack.
const (
	maxWords = 1024
	maxWord  = 64 << 10 // bytes
)

// An Error says what is wrong with a command, where in its text, and what to
// write instead.
type Error struct {
	Offset  int // bytes from the start of the text; 0 for a list of words
	Message string
	Hint    string
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + "; " + e.Hint
}

// Check tells whether a can be run as far as that can be told before its
// variables are known.
func Check(a ship.Argv) error {
	if len(a) == 0 || a[0] == "" {
		return &Error{Message: "the command is empty"}
	}
	if len(a) > maxWords {
		return &Error{Message: fmt.Sprintf("the command has %d words, more than %d", len(a), maxWords)}
	}
	if err := checkProgram(a[0]); err != nil {
		return err
	}
	for _, word := range a {
		if len(word) > maxWord {
			return &Error{Message: fmt.Sprintf("a word of the command is longer than %d bytes", maxWord)}
		}
		if err := checkControl(word); err != nil {
			return err
		}
		if _, err := scan(word, nil); err != nil {
			return err
		}
	}
	return nil
}

func checkProgram(word string) error {
	if strings.HasPrefix(word, "-") {
		return &Error{Message: fmt.Sprintf("the program %q begins with a dash", word), Hint: "write the program first, its options after it"}
	}
	if name, _, ok := strings.Cut(word, "="); ok && isName(name) {
		return &Error{Message: fmt.Sprintf("%q is an assignment, not a program", word), Hint: "set " + name + " under vars"}
	}
	return nil
}

func checkControl(text string) error {
	for i, r := range text {
		if unicode.IsControl(r) && r != '\t' {
			return &Error{Offset: i, Message: fmt.Sprintf("control character %U in the command", r), Hint: "put it into a script"}
		}
	}
	return nil
}

// Expand replaces the variables in the words of a. A variable that is not set
// is an error that names it. Values are taken as they are: they are neither
// split nor expanded again.
func Expand(a ship.Argv, lookup func(string) (string, bool)) ([]string, error) {
	if err := Check(a); err != nil {
		return nil, err
	}
	words := make([]string, len(a))
	for i, word := range a {
		text, err := scan(word, lookup)
		if err != nil {
			return nil, err
		}
		if strings.ContainsRune(text, 0) {
			return nil, &Error{Message: fmt.Sprintf("a variable in word %d of the command holds a NUL", i+1)}
		}
		words[i] = text
	}
	if words[0] == "" {
		return nil, &Error{Message: fmt.Sprintf("the program %s is empty once its variables are replaced", a[0])}
	}
	if strings.HasPrefix(words[0], "-") {
		return nil, &Error{Message: fmt.Sprintf("the program %s begins with a dash once its variables are replaced", a[0])}
	}
	return words, nil
}

// scan expands one word. Without lookup it only checks the word's form.
func scan(word string, lookup func(string) (string, bool)) (string, error) {
	if !strings.Contains(word, "$") {
		return word, nil
	}
	var b strings.Builder
	for i := 0; i < len(word); {
		if word[i] != '$' {
			b.WriteByte(word[i])
			i++
			continue
		}
		name, n, err := reference(word[i:])
		if err != nil {
			err.Offset += i
			return "", err
		}
		switch {
		case name == "":
			b.WriteByte('$')
		case lookup != nil:
			value, ok := lookup(name)
			if !ok {
				return "", &Error{Offset: i, Message: fmt.Sprintf("variable %s is not set", name), Hint: "set " + name + " under vars, or write $$" + name + " for the text itself"}
			}
			b.WriteString(value)
		}
		i += n
	}
	return b.String(), nil
}

// reference reads what begins with the dollar sign at the start of s: a
// variable, or with name "" a dollar sign that stands for itself.
func reference(s string) (name string, n int, err *Error) {
	switch {
	case strings.HasPrefix(s, "$$"):
		return "", 2, nil
	case strings.HasPrefix(s, "${"):
		name, _, ok := strings.Cut(s[2:], "}")
		if !ok {
			return "", 0, &Error{Message: "${ without }", Hint: "write $$ for a dollar sign"}
		}
		if !isName(name) {
			return "", 0, badName(name)
		}
		return name, len(name) + 3, nil
	}
	n = 1
	for n < len(s) && isNameByte(s[n], n == 1) {
		n++
	}
	return s[1:n], n, nil
}

func badName(name string) *Error {
	if scheme, rest, ok := strings.Cut(name, ":"); ok && (scheme == "secret" || scheme == "env") {
		return &Error{
			Message: fmt.Sprintf("${%s} in a command would put its value where other users can read it", name),
			Hint:    fmt.Sprintf("write %s: \"${%s}\" under vars and let the program read it from its environment", rest, name),
		}
	}
	return &Error{Message: fmt.Sprintf("${%s} is not a variable", name), Hint: "only $NAME and ${NAME} are replaced; $$ is a dollar sign"}
}

func isName(s string) bool {
	for i := range len(s) {
		if !isNameByte(s[i], i == 0) {
			return false
		}
	}
	return s != ""
}

func isNameByte(c byte, first bool) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || !first && '0' <= c && c <= '9'
}
