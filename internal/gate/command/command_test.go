package command_test

import (
	"context"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/gate/command"
	"github.com/shiplock/shiplock/internal/gate/gatetest"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestCommand(t *testing.T) {
	candidate := func(argv ...string) func(*testing.T) (gate.Gate, gate.Candidate) {
		return func(t *testing.T) (gate.Gate, gate.Candidate) { return open(t, argv...), gatetest.Candidate(t) }
	}
	gatetest.Run(t, gatetest.Harness{
		Pass:   candidate("true"),
		Fail:   candidate("ls", "/no/such/folder"),
		Broken: candidate("/no/such/program"),
	})
}

func open(t *testing.T, argv ...string) *command.Gate {
	t.Helper()
	g, err := command.New(command.Config{Run: argv}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func ended(code int, output string) gate.Candidate {
	return gate.Candidate{Command: func(context.Context, ship.Argv) (int, string, error) { return code, output, nil }}
}

func TestTheReasonQuotesTheEndOfTheOutput(t *testing.T) {
	for _, tt := range []struct{ name, output, want string }{
		{"nothing was written", "", `"npm test" ended with exit code 3`},
		{"only blank lines", "\n \r\n\t\n", `"npm test" ended with exit code 3`},
		{"one line without an end", "1 failed", `"npm test" ended with exit code 3: 1 failed`},
		{"many lines, some blank", "a\nb\n\nc\n  d\n\n", `"npm test" ended with exit code 3: b | c | d`},
		{"a progress line", "10 %\r20 %\r", `"npm test" ended with exit code 3: 10 % | 20 %`},
		{"A56 colours and a link", "\x1b[31;1mred\x1b[0m \x1b]8;;http://evil\x1b\\text\x1b]8;;\a!", `"npm test" ended with exit code 3: red text!`},
		{"A56 a write to the clipboard", "ok\x1b]52;c;ZXZpbA==", `"npm test" ended with exit code 3: ok`},
		{"A59 a line that reads backwards", "user \u202eevil\u2066", `"npm test" ended with exit code 3: user evil`},
		{"bytes that are no text", "a\xff\xfe\x00b", "\"npm test\" ended with exit code 3: a\ufffd\ufffdb"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := open(t, "npm", "test").Judge(t.Context(), ended(3, tt.output))
			if err != nil || v.Outcome != ship.Fail || v.Reason != tt.want {
				t.Errorf("Judge() = %q, %v; want %q", v.Reason, err, tt.want)
			}
		})
	}
}

// A workflow command only counts at the beginning of a line, and a reason
// never has a second line.
func TestA58OutputCannotBeginALine(t *testing.T) {
	output := "tests\n::error file=a.go::forged\n::add-mask::x\r\n\u2028::warning::y"
	v, err := open(t, "npm", "test").Judge(t.Context(), ended(1, output))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(v.Reason, "::") || strings.ContainsAny(v.Reason, "\n\r\u2028\u2029") {
		t.Errorf("the reason %q could be read as a command", v.Reason)
	}
}

func FuzzTheReasonIsOneReadableLine(f *testing.F) {
	f.Add("a\x1b[", 7)
	f.Add(strings.Repeat("\u00e9", 500), 1)
	f.Add("\x1b]0;title\x1b", -1)
	f.Fuzz(func(t *testing.T, output string, code int) {
		v, err := open(t, "npm", "test").Judge(t.Context(), ended(code, output))
		if err != nil || (v.Outcome == ship.Pass) != (code == 0) {
			t.Errorf("Judge() = %+v, %v with exit code %d", v, err, code)
		}
		if !utf8.ValidString(v.Reason) || strings.ContainsFunc(v.Reason, unicode.IsControl) || len(v.Reason) > 1000 {
			t.Errorf("the reason is not one readable line: %q", v.Reason)
		}
	})
}

func TestACommandIsNeeded(t *testing.T) {
	for _, argv := range []ship.Argv{nil, {}, {""}} {
		if _, err := command.New(command.Config{Run: argv}, plugin.Deps{}); ship.KindOf(err) != ship.Invalid {
			t.Errorf("New(%q) = %v, want kind %s", argv, err, ship.Invalid)
		}
	}
}
