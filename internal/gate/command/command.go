// Package command is a gate that runs a command in the prepared release and
// passes when it exits with 0. Where the command is a test runner that writes
// JUnit's XML, or Cobertura's, it reads what was tested and covered. It knows
// these two forms and nothing of what the command tests.
package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// Config is the gate's part of shiplock.yaml.
type Config struct {
	Run       ship.Argv     `json:"run" jsonschema_description:"Command that must end with exit code 0."`
	JUnit     gate.Paths    `json:"junit,omitempty" jsonschema_description:"Files of JUnit's XML that the command writes. No test in them may have failed, and there must be one."`
	Cobertura gate.Paths    `json:"cobertura,omitempty" jsonschema_description:"Files of Cobertura's XML that the command writes."`
	Coverage  *gate.Percent `json:"coverage,omitempty" jsonschema_description:"Share of the lines that must be covered, such as 80%. Needs cobertura."`
}

// A Gate judges by a command's exit code and what it wrote.
type Gate struct{ cfg Config }

var _ gate.Gate = (*Gate)(nil)

// New returns a command gate.
func New(cfg Config, _ plugin.Deps) (*Gate, error) {
	if len(cfg.Run) == 0 || cfg.Run[0] == "" {
		return nil, ship.Errorf(ship.Invalid, "set run, for example run: npm test", "a command gate needs a command to run")
	}
	if cfg.Coverage != nil && len(cfg.Cobertura) == 0 {
		return nil, plugin.At("coverage", ship.Errorf(ship.Invalid, "set cobertura: coverage.xml, which the command has to write", "it is not said where the coverage can be read"))
	}
	return &Gate{cfg}, nil
}

// Judge implements [gate.Gate].
func (g *Gate) Judge(ctx context.Context, c gate.Candidate) (ship.Verdict, error) {
	name := gate.Line(strings.Join(g.cfg.Run, " "), maxName)
	code, output, err := c.Command(ctx, g.cfg.Run)
	if err != nil {
		return ship.Verdict{}, fmt.Errorf("run %q: %w", name, err)
	}
	ended := fmt.Sprintf("%q ended with exit code %d", name, code)
	found, err := g.read(ctx, c)
	if err != nil && code == 0 {
		return ship.Verdict{}, fmt.Errorf("%s: %w", ended, err)
	}
	v := ship.Verdict{Outcome: ship.Pass, Report: found.report(g.cfg.Coverage)}
	if said := found.said(); said != "" {
		ended += ": " + said
	}
	switch {
	case code != 0:
		v.Outcome, v.Reason = ship.Fail, ended
		if last := lastLines(output); last != "" && found.failed == 0 {
			v.Reason += ": " + last
		}
	case found.failed > 0:
		v.Outcome, v.Reason = ship.Fail, ended
	case len(g.cfg.JUnit) > 0 && found.ran() == 0:
		v.Outcome, v.Reason = ship.NoConclusion, ended+": no test proves nothing"
	case g.cfg.Coverage != nil && found.covered() < float64(*g.cfg.Coverage):
		v.Outcome, v.Reason = ship.Fail, fmt.Sprintf("%s, and must be at least %.4g %%", ended, float64(*g.cfg.Coverage))
	default:
		v.Reason = ended
	}
	return v, nil
}

// read reads what the command wrote. What a command that failed did not write
// is left out.
func (g *Gate) read(ctx context.Context, c gate.Candidate) (found results, err error) {
	for _, of := range []struct {
		paths gate.Paths
		add   func(*results, []byte) error
	}{{g.cfg.JUnit, (*results).addJUnit}, {g.cfg.Cobertura, (*results).addCobertura}} {
		for _, path := range of.paths {
			text, failed := c.File(ctx, path)
			if failed == nil {
				failed = of.add(&found, text)
			}
			if failed != nil {
				err = ship.Errorf(ship.KindOf(failed), ship.HintOf(failed), "read %s: %w", path, failed)
			}
		}
	}
	return found, err
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
		if line = gate.Line(line, maxLine); line == "" {
			continue
		}
		if len(last) == maxLines {
			last = last[1:]
		}
		last = append(last, line)
	}
	return strings.Join(last, " | ")
}
