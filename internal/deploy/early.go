package deploy

import (
	"context"
	"fmt"

	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// failEarly ends a run that could not even be opened: nothing was changed, or
// somebody else has the environment now.
func (e *Engine) failEarly(ctx context.Context, run ship.Run, failure error) (ship.Result, error) {
	w := &work{e: e, run: run, mask: mask.New()}
	if r, aborted, err := w.abortUnopened(ctx, failure); aborted || err != nil {
		return r, err
	}
	if ship.KindOf(failure) == ship.Unreachable && run.Status != ship.Planned {
		return run.Result, failure // tried again when it can be reached
	}
	r := ship.Result{
		Run: run.ID, Environment: w.env(), Status: ship.Broken, Kind: ship.KindOf(failure), Reason: failure.Error(),
		Next: ship.HintOf(failure), Schema: ship.SchemaUnchanged, Candidate: run.Request.Release.Number,
	}
	if run.Status != ship.Planned {
		r.Schema = ship.SchemaUnknown // it had begun, and what it did cannot be seen now
		if r.Kind != ship.Fenced && r.Kind != ship.Locked {
			r.Status = ship.Paused
			r.Reason = "paused: the run had begun and cannot go on: " + r.Reason
			r.Next = "mend that, then: shiplock resume " + run.ID + "; or give it up: shiplock abort " + run.ID
		}
	}
	_, obs := w.glimpse(ctx)
	r.Serving = obs.Slots[obs.Active].Release.Number // also where the run never came to ask
	if r.Kind == ship.Internal {
		r.Kind = ship.Failed
	}
	return r, e.end(ctx, run, r)
}

// glimpse looks at the environment without anything that needs a secret.
func (w *work) glimpse(ctx context.Context) (platform.Platform, platform.Observation) {
	p, err := w.e.Plugins.Platform(w.run.Request.Environment.Platform)
	if err != nil {
		return nil, platform.Observation{}
	}
	obs, err := p.Observe(ctx, w.env())
	if err != nil {
		return nil, platform.Observation{}
	}
	return p, obs
}

// abortUnopened gives up, where somebody asked for it, a run that had begun and
// whose targets cannot be opened any more: it changes nothing and says what
// nobody looked at. From the swap on a run cannot be aborted.
func (w *work) abortUnopened(ctx context.Context, failure error) (ship.Result, bool, error) {
	if w.run.Status == ship.Planned {
		return ship.Result{}, false, nil
	}
	journal, err := w.e.Journal.Journal(ctx, w.run.ID)
	if err != nil {
		return w.run.Result, false, err
	}
	w.journal = journal
	if w.begun(plan.Shift) {
		return ship.Result{}, false, nil
	}
	sig, err := w.e.Journal.TakeSignal(ctx, w.run.ID, "cancel")
	if err != nil || sig == nil {
		return w.run.Result, false, err
	}
	r := ship.Result{
		Run: w.run.ID, Environment: w.env(), Status: ship.Aborted, Kind: ship.Interrupted, Step: w.failedStep(), Candidate: w.run.Request.Release.Number,
		Reason: fmt.Sprintf("aborted by %s although it cannot be opened: %s", sig.By, failure), Schema: w.schema(false),
	}
	if w.begun(plan.Migrate) && !w.done(plan.Migrate) || w.begun(plan.Contract) && !w.done(plan.Contract) {
		r.Schema, r.Next = ship.SchemaUnknown, "shiplock migrate status "+w.env().Name
		r.Notes = append(r.Notes, "the target database was not opened: what the migration left of the schema was not looked at")
	}
	r.Notes = append(r.Notes, w.leave(ctx, &r)...)
	return r, true, w.e.end(ctx, w.run, r)
}

// leave gives the environment back without having taken it, and says what it
// could not see to.
func (w *work) leave(ctx context.Context, r *ship.Result) []string {
	p, obs := w.glimpse(ctx)
	if p == nil {
		return []string{"the platform was not reached: what serves was not looked at, and the run's claim ends by itself"}
	}
	r.Serving = obs.Slots[obs.Active].Release.Number
	var notes []string
	if obs.Mode == ship.Holding || obs.Mode == ship.Maintenance {
		notes = append(notes, fmt.Sprintf("requests were left as they were (%s); to open: shiplock maintenance off %s", obs.Mode, w.env().Name))
	}
	if err := p.Release(ctx, w.env(), ship.Fence{Run: w.run.ID, Epoch: w.run.Epoch}); err != nil && ship.KindOf(err) != ship.Fenced {
		notes = append(notes, "the run's claim was not given back and ends by itself: "+err.Error())
	}
	return notes
}

// begun tells whether the first step of a kind was begun.
func (w *work) begun(kind string) bool {
	for seq, s := range w.run.Plan.Steps {
		if s.Kind == kind {
			return w.entry(seq) != nil
		}
	}
	return false
}
