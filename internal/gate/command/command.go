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
	"github.com/shiplock/shiplock/internal/mask"
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
	name := shorten(oneLine(mask.Terminal(strings.Join(g.argv, " "))), maxName)
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
	// A progress line goes back to its beginning instead of ending.
	for line := range strings.Lines(mask.Terminal(strings.ReplaceAll(output, "\r", "\n"))) {
		if line = strings.TrimSpace(oneLine(line)); line == "" {
			continue
		}
		if len(last) == maxLines {
			last = last[1:]
		}
		last = append(last, shorten(line, maxLine))
	}
	return strings.Join(last, " | ")
}

// oneLine drops what is left in shown text that could still end a line, or is
// not seen at all.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.In(r, unicode.Zl, unicode.Zp):
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s)
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
