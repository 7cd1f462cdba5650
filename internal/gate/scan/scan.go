// Package scan is a gate that runs a tool which looks for faults in the release
// and writes what it finds as SARIF. It knows the form, levels and what is new;
// which tool it is and what it looks for it refuses to know.
package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// Config is the gate's part of shiplock.yaml.
type Config struct {
	Run     ship.Argv `json:"run" jsonschema_description:"Command of the tool. Its exit code may be 0 or 1; a higher one says that it failed."`
	SARIF   string    `json:"sarif" jsonschema_description:"File of SARIF 2.1 that it writes."`
	FailOn  string    `json:"fail_on,omitempty" jsonschema:"enum=error,enum=warning,enum=note" jsonschema_description:"Level from which nothing may be found. Default error, unless another limit is set."`
	Error   *int      `json:"error,omitempty" jsonschema_description:"How many findings of level error there may be."`
	Warning *int      `json:"warning,omitempty" jsonschema_description:"How many of level warning."`
	Note    *int      `json:"note,omitempty" jsonschema_description:"How many of level note."`
	New     *int      `json:"new,omitempty" jsonschema_description:"How many of any level there may be that the release that serves has not."`
}

// levels are those of SARIF, the worst first.
var levels = [...]string{"error", "warning", "note"}

// A Gate judges by what a tool found.
type Gate struct {
	cfg    Config
	limits map[string]int
}

var _ gate.Gate = (*Gate)(nil)

// New returns a scan gate.
func New(cfg Config, _ plugin.Deps) (*Gate, error) {
	if len(cfg.Run) == 0 || cfg.Run[0] == "" {
		return nil, ship.Errorf(ship.Invalid, "set run, for example run: bandit -r . -f sarif -o scan.sarif", "a scan needs a command to run")
	}
	if err := gate.CheckPath(cfg.SARIF); err != nil {
		return nil, plugin.At("sarif", err)
	}
	g := &Gate{cfg, map[string]int{}}
	for i, most := range []*int{cfg.Error, cfg.Warning, cfg.Note, cfg.New} {
		name := [...]string{"error", "warning", "note", "new"}[i]
		if most == nil {
			continue
		}
		if *most < 0 {
			return nil, plugin.At(name, ship.Errorf(ship.Invalid, "write 0 or more", "%d findings cannot be", *most))
		}
		g.limits[name] = *most
	}
	if cfg.FailOn == "" && len(g.limits) == 0 {
		cfg.FailOn = levels[0]
	}
	if cfg.FailOn == "" {
		return g, nil
	}
	last := slices.Index(levels[:], cfg.FailOn)
	if last < 0 {
		return nil, plugin.At("fail_on", ship.Errorf(ship.Invalid, "write error, warning or note", "%q is no level", gate.Shorten(cfg.FailOn, 40)))
	}
	for _, level := range levels[:last+1] {
		if _, set := g.limits[level]; !set {
			g.limits[level] = 0
		}
	}
	return g, nil
}

// Judge implements [gate.Gate].
func (g *Gate) Judge(ctx context.Context, c gate.Candidate) (ship.Verdict, error) {
	name := gate.Line(strings.Join(g.cfg.Run, " "), maxName)
	code, output, err := c.Command(ctx, g.cfg.Run)
	if err != nil {
		return ship.Verdict{}, fmt.Errorf("run %q: %w", name, err)
	}
	if code != 0 && code != 1 {
		return ship.Verdict{}, ship.Errorf(ship.Failed, "", "%q ended with exit code %d: %s", name, code, lastLine(output))
	}
	text, err := c.File(ctx, g.cfg.SARIF)
	if err != nil {
		return ship.Verdict{}, fmt.Errorf("%q ended with exit code %d (%s): read %s: %w", name, code, lastLine(output), g.cfg.SARIF, err)
	}
	found, err := read(text)
	if err != nil {
		return ship.Verdict{}, fmt.Errorf("read %s: %w", g.cfg.SARIF, err)
	}
	compared, err := g.compare(ctx, c, found)
	if err != nil {
		return ship.Verdict{}, err
	}
	return g.verdict(found, compared), nil
}

// compare marks what the release that serves has not, and tells whether that
// is known.
func (g *Gate) compare(ctx context.Context, c gate.Candidate, found []finding) (bool, error) {
	text, err := c.Earlier(ctx, g.cfg.SARIF)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read what was found in the release that serves: %w", err)
	}
	before, err := read(text)
	if err != nil {
		return false, nil //nolint:nilerr // it was written by another tool, and nothing can be compared with it
	}
	known := map[string]int{}
	for _, f := range before {
		known[f.identity]++
	}
	for i := range found {
		known[found[i].identity]--
		found[i].New = known[found[i].identity] < 0
	}
	return true, nil
}

// What of a tool is quoted.
const (
	maxName  = 80  // bytes
	maxText  = 300 // bytes
	maxItems = 200 // findings that are kept
)

func lastLine(output string) string {
	last := "it wrote nothing"
	for line := range strings.Lines(output) {
		if line = gate.Line(line, maxText); line != "" {
			last = line
		}
	}
	return last
}

func (g *Gate) verdict(found []finding, compared bool) ship.Verdict {
	counts := map[string]int{}
	for _, f := range found {
		counts[f.Level]++
		if f.New {
			counts["new"]++
		}
	}
	slices.SortStableFunc(found, func(a, b finding) int {
		return cmp.Or(slices.Index(levels[:], a.Level)-slices.Index(levels[:], b.Level), -compareBools(a.New, b.New), cmp.Compare(a.Where, b.Where))
	})
	v := ship.Verdict{Outcome: ship.Pass, Report: &ship.Report{}}
	var said, wrong []string
	for _, name := range []string{"error", "warning", "note", "new"} {
		if name == "new" && !compared {
			continue
		}
		f := ship.Figure{Name: name, Value: float64(counts[name]), AtMost: true}
		text := fmt.Sprintf("%d %s", counts[name], name)
		if most, set := g.limits[name]; set {
			limit := float64(most)
			f.Limit = &limit
			if text += fmt.Sprintf(" (at most %d)", most); counts[name] > most {
				wrong = append(wrong, name)
			}
		}
		said, v.Report.Figures = append(said, text), append(v.Report.Figures, f)
	}
	v.Reason = "found " + strings.Join(said, ", ")
	if _, set := g.limits["new"]; set && !compared {
		v.Reason += "; no scan of the release that serves to compare with"
	}
	if len(wrong) > 0 {
		v.Outcome = ship.Fail
		if first := worst(found, wrong[0]); first != nil {
			v.Reason += "; for example " + first.Title
			if first.Where != "" {
				v.Reason += " in " + first.Where
			}
			v.Reason += ": " + first.Text
		}
	}
	for _, f := range found[:min(len(found), maxItems)] {
		v.Report.Items = append(v.Report.Items, f.Item)
	}
	v.Report.More = len(found) - len(v.Report.Items)
	return v
}

// worst returns the first finding of a level, or the first that is new.
func worst(found []finding, name string) *finding {
	for i, f := range found {
		if f.Level == name || name == "new" && f.New {
			return &found[i]
		}
	}
	return nil
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
