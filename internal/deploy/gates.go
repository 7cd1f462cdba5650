package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
)

// together returns the gates that are asked next, from those that follow each
// other in the plan: all that may be asked at once, or one that is asked alone.
// A gate that failed before comes first. It is empty where no gate is next.
func (w *work) together(seq int) []int {
	var all, alone, stopped []int
	for ; seq < len(w.run.Plan.Steps) && w.run.Plan.Steps[seq].Kind == plan.Gate; seq++ {
		e := w.entry(seq)
		if e != nil && e.State == ship.StepDone {
			continue
		}
		if e != nil && e.State == ship.StepFailed {
			if e.Kind != ship.Interrupted {
				return []int{seq}
			}
			stopped = append(stopped, seq)
		}
		var p plan.GateParams
		if json.Unmarshal(w.run.Plan.Steps[seq].Params, &p) == nil && p.Gate.Alone {
			alone = append(alone, seq)
			continue
		}
		all = append(all, seq)
	}
	switch {
	case len(stopped) > 0: // the run was cancelled
		return stopped[:1]
	case len(all) == 0 && len(alone) > 0:
		return alone[:1]
	}
	return all
}

// A stoppedError ends the gates beside one that said no: what they would say
// changes nothing any more.
type stoppedError struct{ gate string }

func (e *stoppedError) Error() string { return "stopped, because " + e.gate + " did not pass" }

// gates asks gates at once. When one does not pass the others are stopped.
func (w *work) gates(ctx context.Context, seqs []int) error {
	group, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var first error
	var once sync.Once
	failures := make([]error, len(seqs))
	branches := make([]work, len(seqs))
	var all sync.WaitGroup
	for i, seq := range seqs {
		branches[i] = *w // each step has its own place and its own patience
		all.Go(func() {
			if failures[i] = branches[i].step(group, seq, w.entry(seq)); failures[i] != nil {
				once.Do(func() { first = failures[i] })
				stop(&stoppedError{w.run.Plan.Steps[seq].Name})
			}
		})
	}
	all.Wait()
	if interrupted(ctx) {
		return context.Cause(ctx)
	}
	for i, err := range failures {
		if _, ok := errors.AsType[*stoppedError](err); ok {
			if failed := branches[i].stepFailed(ctx, ship.Errorf(ship.Interrupted, "", "%w", err), nil); unrecorded(failed) {
				first = failed
			}
		}
	}
	return first
}

// runGate asks one gate.
func runGate(ctx context.Context, w *work) (string, any, error) {
	var p plan.GateParams
	if err := w.params(&p); err != nil {
		return "", nil, err
	}
	a := &asked{work: w, gate: p.Gate, next: "shiplock explain " + w.run.ID}
	g, err := w.e.Plugins.Gate(p.Gate.Plugin, a)
	if err != nil {
		return "", nil, err
	}
	if err := a.begin(ctx); err != nil {
		return "", nil, err
	}
	c, err := a.candidate(ctx)
	if err != nil {
		return "", nil, fmt.Errorf("gate %s: %w", p.Gate.Name, err)
	}
	verdict, err := g.Judge(ctx, c)
	if err == nil {
		verdict, err = a.conclude(verdict)
	}
	switch {
	case err != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return "", nil, ship.Errorf(ship.GateFailed, a.next, "gate %s: %w", p.Gate.Name, a.mask().Error(err))
	case err != nil:
		return "", nil, fmt.Errorf("gate %s: %w", p.Gate.Name, a.mask().Error(err))
	case verdict.Outcome == ship.Pass:
		return verdict.Reason, verdict, nil
	case verdict.Outcome == ship.Fail:
		return "", verdict, ship.Errorf(ship.GateFailed, a.next, "gate %s: %s", p.Gate.Name, verdict.Reason)
	}
	return "", verdict, ship.Errorf(ship.Inconclusive, "shiplock explain "+w.run.ID, "gate %s came to no conclusion: %s", p.Gate.Name, verdict.Reason)
}
