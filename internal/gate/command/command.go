// Package command is a gate that runs a command in the prepared release and
// passes when it exits with 0. It knows nothing of what the command tests.
package command

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// Config is the gate's part of shiplock.yaml.
type Config struct {
	Run ship.Argv `json:"run"`
}

// A Gate judges by a command's exit code.
type Gate struct{ argv ship.Argv }

var _ gate.Gate = (*Gate)(nil)

// New returns a command gate.
func New(cfg Config, _ plugin.Deps) (*Gate, error) {
	if len(cfg.Run) == 0 || cfg.Run[0] == "" {
		return nil, ship.Errorf(ship.Invalid, "set run, for example run: npm test", "a command gate needs a command to run")
	}
	return &Gate{cfg.Run}, nil
}

// Judge implements [gate.Gate].
func (g *Gate) Judge(ctx context.Context, c gate.Candidate) (ship.Verdict, error) {
	name := shorten(printable(strings.Join(g.argv, " ")), maxName)
	code, output, err := c.Command(ctx, g.argv)
	if err != nil {
		return ship.Verdict{}, fmt.Errorf("run %q: %w", name, err)
	}
	if code == 0 {
		return ship.Verdict{Outcome: ship.Pass, Reason: fmt.Sprintf("%q ended with exit code 0", name)}, nil
	}
	reason := fmt.Sprintf("%q ended with exit code %d", name, code)
	if last := lastLines(output); last != "" {
		reason += ": " + last
	}
	return ship.Verdict{Outcome: ship.Fail, Reason: reason}, nil
}

// What of a command is quoted in a reason, which is read as one sentence.
const (
	maxName  = 80 // bytes
	maxLines = 3
	maxLine  = 200 // bytes
)

// lastLines returns the last lines of output that are not blank, as one line.
func lastLines(output string) string {
	var last []string
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(printable(line)); line == "" {
			continue
		}
		if len(last) == maxLines {
			last = last[1:]
		}
		last = append(last, shorten(line, maxLine))
	}
	return strings.Join(last, " | ")
}

// printable drops what a terminal or a reader of lines could take for more
// than text: escape sequences, other control characters, and the invisible
// ones that reorder a line.
func printable(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		if s[0] == '\x1b' {
			s = s[escapeLen(s):]
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		switch {
		case r == utf8.RuneError && n == 1, unicode.Is(unicode.Cf, r):
		case r == '\u2028', r == '\u2029', unicode.IsControl(r):
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// escapeLen returns the length of the escape sequence s begins with: up to the
// final byte of a control sequence (ESC [), up to BEL or ESC \ of a string
// (ESC ] and its like), else two bytes. One that does not end is all of s.
func escapeLen(s string) int {
	if len(s) < 2 {
		return len(s)
	}
	switch s[1] {
	case '[':
		for i := 2; i < len(s); i++ {
			if s[i] >= 0x40 && s[i] <= 0x7e {
				return i + 1
			}
		}
		return len(s)
	case ']', 'P', 'X', '^', '_':
		for i := 2; i < len(s); i++ {
			if s[i] == '\a' {
				return i + 1
			}
			if s[i] == '\x1b' {
				return min(i+2, len(s))
			}
		}
		return len(s)
	}
	return 2
}

// shorten cuts s to at most limit bytes at a character, marking the cut.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	cut := limit - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
