package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// runAndFollow starts a run and shows it until it ends. Its result decides the
// exit code.
func (s *session) runAndFollow(ctx context.Context, cl *client.Client, in wire.NewRun, noWait bool) error {
	run, err := s.begin(ctx, cl, in)
	if err != nil {
		return err
	}
	if noWait {
		return s.print(run, func(w io.Writer) { fmt.Fprintf(w, "%s\n", run.ID) })
	}
	return s.follow(ctx, cl, run.ID, 0)
}

// errServes ends the following of a run whose release serves and is proven
// healthy, or has too few requests to be. The watch goes on without us.
var errServes = errors.New("nobody has to wait")

// follow shows a run's events after the given one until it ends or waits for a person. The run
// goes on when we are interrupted, or when the server is away for a while.
func (s *session) follow(ctx context.Context, cl *client.Client, id string, after int64) error {
	view := s.newView(id)
	lost := patience{s: s}
	for {
		var err error
		after, err = cl.Follow(ctx, id, after, view.show)
		if errors.Is(err, errServes) {
			return view.serves()
		}
		if view.result != nil {
			return view.end()
		}
		if ctx.Err() != nil {
			view.close()
			return ship.Errorf(ship.Interrupted, "shiplock watch "+id, "interrupted; run %s goes on", id)
		}
		if err != nil && ship.KindOf(err) != ship.Unreachable {
			return err
		}
		if !lost.wait(ctx, err) {
			return err
		}
	}
}

// view shows the events of one run.
type view struct {
	s      *session
	id     string
	result *ship.Result
	stands *ship.Result // how the run stood when nobody had to wait any longer
	begun  map[string]time.Time
	said   time.Time // when a line about the watch was written last
	live   *liveLine
}

func (s *session) newView(id string) *view {
	v := &view{s: s, id: id, begun: map[string]time.Time{}}
	if s.terminal(s.err) && !s.quiet && !s.json() {
		v.live = newLiveLine(s.err)
	}
	return v
}

// show shows one event: as a line of JSON, or for a person.
func (v *view) show(e ship.Event) error {
	if e.Type == ship.EventFinal {
		var r ship.Result
		if err := json.Unmarshal(e.Data, &r); err != nil {
			return fmt.Errorf("decode result: %w", err)
		}
		v.result = &r
	}
	if v.s.json() {
		if err := json.NewEncoder(v.s.out).Encode(e); err != nil {
			return err
		}
	} else if !v.s.quiet {
		v.text(e)
	}
	if (e.Type == ship.EventHealthy || e.Type == ship.EventUnproven) && v.s.untilHealthy {
		return v.leave(e)
	}
	return nil
}

// leave ends the following of a run that goes on.
func (v *view) leave(e ship.Event) error {
	var r ship.Result
	if err := json.Unmarshal(e.Data, &r); err != nil {
		return fmt.Errorf("decode result: %w", err)
	}
	r.Next = "shiplock watch " + v.id
	v.stands = &r
	return errServes
}

// serves prints how a run stands that goes on.
func (v *view) serves() error {
	v.close()
	if !v.s.json() {
		v.s.summary(v.s.err, *v.stands)
	}
	return nil
}

// marks are the signs lines begin with; the word beside them says the same.
var marks = map[string]string{
	ship.EventDone: "✓", ship.EventFailed: "✗", ship.EventUndone: "↩", ship.EventNote: "!", ship.EventProgress: "·",
}

func (v *view) text(e ship.Event) {
	text := indent(mask.Terminal(e.Text), 27)
	switch e.Type {
	case ship.EventPlan:
		v.plan(e)
	case ship.EventStarted:
		v.begun[e.Step] = e.At
		v.live.set(e.Step, text)
	case ship.EventProgress:
		if v.live == nil && v.worthALine(e) {
			v.line(e, text)
		}
		v.live.set(e.Step, text)
	case ship.EventUnproven: // the summary says it
		if !v.s.untilHealthy {
			v.line(e, text)
		}
	case ship.EventDone, ship.EventFailed, ship.EventUndone, ship.EventNote, ship.EventHealthy:
		v.line(e, text)
	}
}

// quietly is the time between two lines about a watch or a gate where lines stay.
const quietly = 15 * time.Second

// worthALine leaves most of what a watch or a gate says every second out of a
// log.
func (v *view) worthALine(e ship.Event) bool {
	if e.Step != plan.Watch && !strings.HasPrefix(e.Step, plan.Gate+" ") {
		return true
	}
	if e.At.Sub(v.said) < quietly {
		return false
	}
	v.said = e.At
	return true
}

func (v *view) line(e ship.Event, text string) {
	took := ""
	if at, ok := v.begun[e.Step]; ok && e.Type != ship.EventNote && e.Type != ship.EventProgress {
		took = fmt.Sprintf("%.1fs", e.At.Sub(at).Seconds())
	}
	v.live.clear()
	fmt.Fprintf(v.s.err, " %s %-14s %7s  %s\n", v.s.color(e.Type, marks[e.Type]), e.Step, took, text)
}

func (v *view) plan(e ship.Event) {
	var p ship.Plan
	if json.Unmarshal(e.Data, &p) != nil {
		return
	}
	from := ""
	if p.From != nil {
		from = fmt.Sprintf("v%d → ", p.From.Number)
	}
	v.live.clear()
	fmt.Fprintf(v.s.err, "%s → %s   %sv%d   %s · %s changed\n", p.Environment.App, p.Environment.Name, from, p.To.Number, count(len(p.Migrations), "migration"), count(len(p.Settings), "setting"))
	for _, n := range p.Notes {
		fmt.Fprintf(v.s.err, " ! %s\n", mask.Terminal(n))
	}
}

func (v *view) close() { v.live.clear() }

// end prints how the run ended and makes an exit code of it.
func (v *view) end() error {
	v.close()
	r := v.result
	if !v.s.json() {
		v.s.summary(v.s.err, *r)
	}
	if r.Status == ship.Passed {
		return nil
	}
	if r.Status == ship.Aborted {
		return errAborted
	}
	if code := codes[r.Kind]; code != 0 {
		return exitCode(code)
	}
	return exitCode(codes[ship.Failed])
}

// summary says how a run ended, what state things are in, and what to type
// next.
func (s *session) summary(w io.Writer, r ship.Result) {
	word := map[ship.Status]string{
		ship.Passed: "done", ship.Broken: "failed", ship.Aborted: "aborted", ship.Paused: "paused", ship.Running: "healthy", ship.Superseded: "superseded", ship.Queued: "queued",
	}[r.Status]
	switch {
	case r.Kind == ship.RolledBack:
		word = "rolled back"
	case r.Kind == ship.Inconclusive:
		word = "held"
	case r.Status == ship.Running && r.Health == ship.Unproven:
		word = "not proven yet"
	}
	kind := ship.EventFailed
	switch {
	case r.Status == ship.Running && r.Health == ship.Unproven, r.Status == ship.Queued:
		kind = ship.EventNote
	case r.Status == ship.Passed || r.Status == ship.Running:
		kind = ship.EventDone
	}
	fmt.Fprintf(w, "%s %s  %s\n", s.color(kind, marks[kind]), word, indent(mask.Terminal(strings.TrimPrefix(strings.TrimPrefix(r.Reason, word+": "), "superseded ")), 3))
	serving := "nothing serves"
	if r.Serving > 0 {
		serving = fmt.Sprintf("v%d serves", r.Serving)
	}
	if r.Status != ship.Superseded && r.Status != ship.Queued { // it has not looked
		fmt.Fprintf(w, "   Now: %s · schema %s\n", serving, r.Schema)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "   Note: %s\n", mask.Terminal(n))
	}
	if r.Next != "" {
		fmt.Fprintf(w, "   Next: %s\n", mask.Terminal(r.Next))
	}
}

// runID returns the run that is named, or the newest.
func (s *session) runID(ctx context.Context, cl *client.Client, args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	runs, err := cl.Runs(ctx, "", "", 1)
	if err != nil {
		return "", err
	}
	if len(runs) == 0 {
		return "", ship.Errorf(ship.NotFound, "shiplock deploy", "there is no run yet")
	}
	return runs[0].ID, nil
}

// configuredServer returns the server the configuration names, if there is a
// configuration that can be read.
func (s *session) configuredServer() string {
	f, err := s.load()
	if err != nil {
		return ""
	}
	return f.Server
}
