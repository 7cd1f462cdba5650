package deploy

import (
	"context"
	"maps"
	"slices"

	"github.com/shiplock/shiplock/internal/plan"
)

// A stepKind is the implementation of one kind of step.
type stepKind struct {
	// do carries the step out, whatever an earlier attempt did. It returns a
	// sentence on what it did and the evidence for later steps.
	do func(ctx context.Context, w *work) (text string, evidence any, err error)
	// observe tells, after a crash between intent and end, whether the step is
	// done. Without it do is simply called again. When it cannot be known it
	// returns a pauseError.
	observe func(ctx context.Context, w *work) (done bool, err error)
	// undo takes the step's effect back, also that of a failed attempt.
	undo func(ctx context.Context, w *work) (text string, evidence any, err error)
	// uncancellable steps look themselves for a safe place to stop.
	uncancellable bool
}

// steps lists every kind of step there is.
var steps = map[string]stepKind{
	plan.Preflight:   {do: preflight},
	plan.Prepare:     {do: prepare},
	plan.Inspect:     {do: inspect},
	plan.Gate:        {do: runGate},
	plan.Backup:      {do: backup},
	plan.Hold:        {do: hold, undo: unhold},
	plan.Maintenance: {do: maintenance, undo: unmaintenance},
	plan.Migrate:     {do: doMigrate, undo: undoMigrate, uncancellable: true},
	plan.Down:        {do: takeBack, uncancellable: true},
	plan.Contract:    {do: doContract, uncancellable: true},
	plan.Start:       {do: start},
	plan.Health:      {do: healthy},
	plan.Warmup:      {do: warmup},
	plan.Smoke:       {do: smoke},
	plan.Shift:       {do: shift, observe: shifted, undo: unshift, uncancellable: true},
	plan.Open:        {do: open, uncancellable: true},
	plan.Drain:       {do: drain, uncancellable: true},
	plan.Watch:       {do: watch, uncancellable: true},
	plan.Backfill:    {do: doBackfill, uncancellable: true},
	plan.Notify:      {do: tellAll, uncancellable: true},
}

// Kinds returns every kind of step there is, in alphabetical order.
func Kinds() []string { return slices.Sorted(maps.Keys(steps)) }

// Undoable returns the kinds of steps whose effect can be taken back, in
// alphabetical order.
func Undoable() []string {
	return slices.DeleteFunc(Kinds(), func(kind string) bool { return steps[kind].undo == nil })
}
