package argv

import (
	"errors"
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// Split splits a command as a POSIX shell would: words are separated by
// blanks, single quotes keep everything, double quotes keep everything but $,
// a backslash quotes the next character. What only a shell can do is an error.
// The result passes [Check].
func Split(s string) (ship.Argv, error) {
	p := splitter{src: strings.TrimRight(s, "\n"), bare: -1}
	if i := strings.IndexByte(p.src, '\n'); i >= 0 {
		return nil, &Error{i, "the command goes on after the end of its line", "put it into a script, or make a list of commands"}
	}
	if err := checkControl(p.src); err != nil {
		return nil, err
	}
	if err := p.run(); err != nil {
		return nil, err
	}
	if err := Check(p.words); err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			e.Offset = 0 // a word's is not the text's
		}
		return nil, err
	}
	return p.words, nil
}

// Join writes a as one line that [Split] reads as the same words.
func Join(a ship.Argv) string {
	words := make([]string, len(a))
	for i, word := range a {
		words[i] = quote(word)
	}
	return strings.Join(words, " ")
}

// A splitter is the state of one Split.
type splitter struct {
	src   string
	pos   int
	word  []byte
	bare  int  // length of word before the $NAME it ends with, or -1
	open  bool // a word has begun, if only by an empty pair of quotes
	words ship.Argv
}

func (p *splitter) run() error {
	for p.pos < len(p.src) {
		c := p.src[p.pos]
		switch {
		case c == ' ' || c == '\t':
			p.end()
			p.pos++
		case c == '#' && !p.open:
			return p.fail("a comment begins in the command", `write "\#" for the sign itself`)
		case strings.IndexByte("|&;<>()`", c) >= 0:
			return p.operator(c)
		default:
			p.open = true
			if err := p.part(c); err != nil {
				return err
			}
		}
	}
	p.end()
	return nil
}

// part reads one character, quoted string or variable of a word.
func (p *splitter) part(c byte) error {
	switch c {
	case '\'':
		return p.single()
	case '"':
		return p.double()
	case '\\':
		if p.pos+1 == len(p.src) {
			return p.fail("the command ends with a backslash", "")
		}
		p.literal(p.src[p.pos+1])
		p.pos += 2
		return nil
	case '$':
		return p.dollar()
	}
	p.put(c)
	p.pos++
	return nil
}

func (p *splitter) single() error {
	text, _, ok := strings.Cut(p.src[p.pos+1:], "'")
	if !ok {
		return p.fail("a single quote is not closed", "")
	}
	for i := range len(text) {
		p.literal(text[i])
	}
	p.pos += len(text) + 2
	return nil
}

func (p *splitter) double() error {
	begin := p.pos
	for p.pos++; p.pos < len(p.src); {
		switch c := p.src[p.pos]; c {
		case '"':
			p.pos++
			return nil
		case '`':
			return p.operator(c)
		case '$':
			if err := p.dollar(); err != nil {
				return err
			}
		case '\\':
			if p.pos+1 < len(p.src) && strings.IndexByte("$`\"\\", p.src[p.pos+1]) >= 0 {
				p.pos++
			}
			p.literal(p.src[p.pos])
			p.pos++
		default:
			p.put(c)
			p.pos++
		}
	}
	p.pos = begin
	return p.fail("a double quote is not closed", "")
}

// dollar copies a variable, or a dollar sign that stands for itself.
func (p *splitter) dollar() error {
	rest := p.src[p.pos:]
	if strings.HasPrefix(rest, "$(") {
		return p.operator('$')
	}
	name, n, err := reference(rest)
	if err != nil {
		err.Offset += p.pos
		return err
	}
	if n == 1 && len(rest) > 1 && strings.IndexByte("0123456789@*#?-!", rest[1]) >= 0 {
		return p.fail(fmt.Sprintf("%s has no meaning here", rest[:2]), "only $NAME and ${NAME} are replaced; use single quotes for the text itself")
	}
	p.pos += n
	if name == "" {
		p.literal('$')
		return nil
	}
	p.bare = -1
	if rest[1] != '{' {
		p.bare = len(p.word)
	}
	p.word = append(p.word, rest[:n]...)
	return nil
}

// literal adds a character that was quoted.
func (p *splitter) literal(c byte) {
	if c == '$' {
		p.bare = -1
		p.word = append(p.word, '$')
	}
	p.put(c)
}

// put adds a character. When quotes stood between it and a $NAME, it must not
// become part of that name.
func (p *splitter) put(c byte) {
	if p.bare >= 0 && isNameByte(c, false) {
		name := string(p.word[p.bare+1:])
		p.word = append(p.word[:p.bare], "${"+name+"}"...)
	}
	p.bare = -1
	p.word = append(p.word, c)
}

func (p *splitter) end() {
	if p.open {
		p.words = append(p.words, string(p.word))
	}
	p.word, p.bare, p.open = p.word[:0], -1, false
}

func (p *splitter) operator(c byte) error {
	sign := string(c)
	switch {
	case c == '$':
		sign = "$("
	case strings.HasPrefix(p.src[p.pos:], "&&"), strings.HasPrefix(p.src[p.pos:], "||"):
		return p.fail(fmt.Sprintf("%q needs a shell and there is none", p.src[p.pos:p.pos+2]), "make a list of commands, or put it into a script")
	}
	return p.fail(fmt.Sprintf("%q needs a shell and there is none", sign), "put the command into a script, or quote the sign")
}

func (p *splitter) fail(message, hint string) error {
	return &Error{Offset: p.pos, Message: message, Hint: hint}
}

// quote writes one word for Split.
func quote(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\n'\"\\|&;<>()`#$") {
		return word
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(word); i++ {
		switch c := word[i]; c {
		case '"', '\\', '`':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '$':
			name, n, err := reference(word[i:])
			if err != nil || n == 1 {
				b.WriteString(`\$`)
				continue
			}
			if name == "" {
				b.WriteString("$$")
			} else {
				b.WriteString(word[i : i+n])
			}
			i += n - 1
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
