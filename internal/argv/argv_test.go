package argv_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/argv"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestSplitReadsQuotesAndBackslashesAsAShellDoes(t *testing.T) {
	tests := []struct {
		text string
		want ship.Argv
	}{
		{`python manage.py migrate`, ship.Argv{"python", "manage.py", "migrate"}},
		{"  a \t b  ", ship.Argv{"a", "b"}},
		{`echo 'a b' "c d" e\ f`, ship.Argv{"echo", "a b", "c d", "e f"}},
		{`echo '' ""`, ship.Argv{"echo", "", ""}},
		{`echo a'b'"c"d`, ship.Argv{"echo", "abcd"}},
		{`echo "a\"b\\c\d"`, ship.Argv{"echo", `a"b\c\d`}},
		{`echo 'a\b'`, ship.Argv{"echo", `a\b`}},
		{`echo a#b "# c"`, ship.Argv{"echo", "a#b", "# c"}},
		{`echo 'a|b>c;d&&e' "(<&)"`, ship.Argv{"echo", "a|b>c;d&&e", "(<&)"}},
		{`serve --bind 127.0.0.1:$PORT`, ship.Argv{"serve", "--bind", "127.0.0.1:$PORT"}},
		{`serve ${PORT}0 "$PORT"`, ship.Argv{"serve", "${PORT}0", "$PORT"}},
		{`echo "$A"b $A\b`, ship.Argv{"echo", "${A}b", "${A}b"}},
		{`echo "$A"-b`, ship.Argv{"echo", "$A-b"}},
		{`echo '$A' \$A "\$A" $$A`, ship.Argv{"echo", "$$A", "$$A", "$$A", "$$A"}},
		{`grep 'x$' y$ $'z'`, ship.Argv{"grep", "x$$", "y$$", "$$z"}},
		{"serve\n", ship.Argv{"serve"}},
		{`écho ünï`, ship.Argv{"écho", "ünï"}},
		{`find . -name *.py`, ship.Argv{"find", ".", "-name", "*.py"}},
	}
	for _, tt := range tests {
		got, err := argv.Split(tt.text)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("Split(%q) = %q, %v; want %q", tt.text, got, err, tt.want)
		}
	}
}

func TestSplitRefusesWhatOnlyAShellCanDo(t *testing.T) {
	for _, tt := range []struct {
		text   string
		offset int
		say    string
	}{
		{"a | b", 2, `"|" needs a shell`},
		{"a && b", 2, `"&&" needs a shell`},
		{"a || b", 2, `"||" needs a shell`},
		{"a & b", 2, `"&" needs a shell`},
		{"a; b", 1, `";" needs a shell`},
		{"a > b", 2, `">" needs a shell`},
		{"a 2>&1", 3, `">" needs a shell`},
		{"a < b", 2, `"<" needs a shell`},
		{"(a)", 0, `"(" needs a shell`},
		{"a `b`", 2, "\"`\" needs a shell"},
		{"a \"`b`\"", 3, "\"`\" needs a shell"},
		{"a $(b)", 2, `"$(" needs a shell`},
		{`a "$(b)"`, 3, `"$(" needs a shell`},
		{"a ${B:-c}", 2, "${B:-c} is not a variable"},
		{"a ${B", 2, "${ without }"},
		{"a $1", 2, "$1 has no meaning"},
		{"a $@", 2, "$@ has no meaning"},
		{"a 'b", 2, "single quote is not closed"},
		{`a "b`, 2, "double quote is not closed"},
		{`a \`, 2, "ends with a backslash"},
		{"a # b", 2, "a comment begins"},
		{"a\nb", 1, "goes on after the end of its line"},
		{"FOO=bar a", 0, "set FOO under vars"},
		{"a ${secret:KEY}", 2, `write KEY: "${secret:KEY}" under vars`},
		{"", 0, "the command is empty"},
		{" '' a", 0, "the command is empty"},
	} {
		_, err := argv.Split(tt.text)
		problem, ok := errors.AsType[*argv.Error](err)
		if !ok || problem.Offset != tt.offset || !strings.Contains(err.Error(), tt.say) {
			t.Errorf("Split(%q) = %v (%#v), want %q at %d", tt.text, err, problem, tt.say, tt.offset)
		}
	}
}

func TestA31NoWordOfACommandCanBecomeAnOptionOrALine(t *testing.T) {
	for _, words := range []ship.Argv{
		{"-rf", "/"},
		{"--config=x"},
		{""},
		{},
		nil,
		{"a\x00b"},
		{"a", "b\nc"},
		{"a", "b\rc"},
		{"a", "\x1b[2J"},
		{"a", "b\x7f"},
		{"a", "b\u0085"},
		{"a", strings.Repeat("x", 1<<20)},
		slices.Repeat(ship.Argv{"a"}, 5000),
	} {
		if err := argv.Check(words); err == nil {
			t.Errorf("Check(%.40q) = nil, want an error", words)
		}
	}
	// In a list nothing is run by a shell, so its signs are only text.
	got, err := argv.Expand(ship.Argv{"echo", "$(id)", "`id`", "; id", "a|b", "$1", "a$"}, none)
	want := []string{"echo", "$(id)", "`id`", "; id", "a|b", "$1", "a$"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Expand = %q, %v; want %q", got, err, want)
	}
}

func TestExpandKeepsEveryWordOneWord(t *testing.T) {
	vars := map[string]string{"PORT": "8080", "TEXT": "a b $PORT 'c'", "EMPTY": "", "LINES": "x\ny"}
	lookup := func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
	got, err := argv.Expand(ship.Argv{"run", ":$PORT", "${PORT}0", "$TEXT", "$EMPTY", "$$PORT", "$LINES"}, lookup)
	want := []string{"run", ":8080", "80800", "a b $PORT 'c'", "", "$PORT", "x\ny"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Expand = %q, %v; want %q", got, err, want)
	}
}

func TestExpandNamesTheVariableThatIsNotSet(t *testing.T) {
	_, err := argv.Expand(ship.Argv{"serve", "--bind=$PORT_NOT_SET"}, none)
	if err == nil || !strings.Contains(err.Error(), "PORT_NOT_SET is not set") {
		t.Errorf("Expand = %v, want an error that names PORT_NOT_SET", err)
	}
}

func TestA31ExpandRefusesAProgramThatItsVariablesMakeAnOption(t *testing.T) {
	for _, value := range []string{"", "-c", "a\x00b"} {
		if got, err := argv.Expand(ship.Argv{"$P", "x"}, func(string) (string, bool) { return value, true }); err == nil {
			t.Errorf("Expand with P=%q = %q, want an error", value, got)
		}
	}
}

func TestJoinWritesALineThatSplitReads(t *testing.T) {
	words := ship.Argv{"sh", "-c", "echo \"$HOME\" '$1' \\ `id` | a;b #c", "", "a$$b", "${A}b"}
	line := argv.Join(words)
	again, err := argv.Split(line)
	if err != nil {
		t.Fatalf("Split(%q): %v", line, err)
	}
	lookup := func(name string) (string, bool) { return "<" + name + ">", true }
	want, _ := argv.Expand(words, lookup)
	if got, err := argv.Expand(again, lookup); err != nil || !slices.Equal(got, want) {
		t.Errorf("%s expands to %q, %v; want %q", line, got, err, want)
	}
}

func FuzzSplit(f *testing.F) {
	for _, seed := range []string{
		`python manage.py`, `a 'b c' "d \" e" f\ g`, `a $B ${C}d "$E"f '$G' $$`, `a | b`, "a\x00", `$`, `"$A""b"`, `a $'b'`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, err := argv.Split(text)
		if err != nil {
			if problem, ok := errors.AsType[*argv.Error](err); !ok || problem.Offset < 0 || problem.Offset > len(text) {
				t.Fatalf("Split(%q) = %#v, want an *argv.Error within the text", text, err)
			}
			return
		}
		line := argv.Join(words)
		again, err := argv.Split(line)
		if err != nil || !slices.Equal(again, words) {
			t.Fatalf("Split(%q) = %q; joined as %q it is %q, %v", text, words, line, again, err)
		}
		if _, err := argv.Expand(words, func(string) (string, bool) { return "x", true }); err != nil {
			t.Fatalf("Expand(%q): %v", words, err)
		}
	})
}

func none(string) (string, bool) { return "", false }
