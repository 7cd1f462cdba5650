package deploy

import (
	"context"
	"errors"
	"fmt"

	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/ship"
)

// A recordError says that the journal could not be written or read. It says
// nothing about the release: what cannot be recorded is not decided either, and
// the run is carried on from its journal when that can be written again.
type recordError struct{ err error }

func (e *recordError) Error() string { return e.err.Error() }
func (e *recordError) Unwrap() error { return e.err }

func unrecorded(err error) bool {
	_, ok := errors.AsType[*recordError](err)
	return ok
}

// strict is a journal whose failures can be told from those of a step.
type strict struct{ kept }

// kept has another name, because the journal has a method of its own name.
type kept = Journal

func (j strict) check(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	return &recordError{ship.Errorf(ship.KindOf(err), "see to the disk of the server; the run goes on by itself", "the journal: %w", err)}
}

func (j strict) SetStatus(ctx context.Context, id string, status ship.Status, result ship.Result) error {
	return j.check(ctx, j.kept.SetStatus(ctx, id, status, result))
}

func (j strict) SetEpoch(ctx context.Context, id string, epoch int64) error {
	return j.check(ctx, j.kept.SetEpoch(ctx, id, epoch))
}

func (j strict) Journal(ctx context.Context, run string) ([]ship.Entry, error) {
	all, err := j.kept.Journal(ctx, run)
	return all, j.check(ctx, err)
}

func (j strict) Intend(ctx context.Context, run string, seq int, name string, state ship.StepState, epoch int64) error {
	return j.check(ctx, j.kept.Intend(ctx, run, seq, name, state, epoch))
}

func (j strict) Settle(ctx context.Context, run string, seq int, state ship.StepState, evidence any, failure error, plan *ship.Plan) error {
	return j.check(ctx, j.kept.Settle(ctx, run, seq, state, evidence, failure, plan))
}

func (j strict) Note(ctx context.Context, run string, seq int, evidence any) error {
	return j.check(ctx, j.kept.Note(ctx, run, seq, evidence))
}

func (j strict) AddDeployed(ctx context.Context, run ship.Run) error {
	return j.check(ctx, j.kept.AddDeployed(ctx, run))
}

// intend records that the current step is about to act, or to be undone.
func (w *work) intend(ctx context.Context, state ship.StepState) error {
	if err := w.point(state, "before-intent"); err != nil {
		return err
	}
	if err := w.e.Journal.Intend(ctx, w.run.ID, w.seq, w.current.Name, state, w.fence.Epoch); err != nil {
		return err
	}
	return w.point(state, "after-intent")
}

// conclude records how the current step ended.
func (w *work) conclude(ctx context.Context, state ship.StepState, evidence any, failure error) error {
	if err := w.point(state, "after-act"); err != nil {
		return err
	}
	if err := w.e.Journal.Settle(ctx, w.run.ID, w.seq, state, evidence, failure, w.newPlan); err != nil {
		return err
	}
	return w.point(state, "after-done")
}

// point is a place around a write of the journal where something may go wrong.
func (w *work) point(state ship.StepState, at string) error {
	name := w.current.Name
	if state == ship.StepUndoing || state == ship.StepUndone {
		name = "undo " + name
	}
	if err := failpoint.Hit(name + " " + at); err != nil {
		return &recordError{fmt.Errorf("%s of %s: %w", at, name, err)}
	}
	return nil
}
