package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/ship"
)

// A dispatcher has every run carried out by one goroutine at a time. It keeps
// no state of its own: what a run has done is in its journal.
type dispatcher struct {
	engine *deploy.Engine
	log    *slog.Logger
	asked  chan string
}

func newDispatcher(e *deploy.Engine, log *slog.Logger) *dispatcher {
	return &dispatcher{engine: e, log: log, asked: make(chan string, 64)}
}

// start asks for a run to be carried out. To ask twice is fine.
func (d *dispatcher) start(run string) { d.asked <- run }

// Run carries out what is asked for until ctx ends.
func (d *dispatcher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ended := make(chan string)
	again := map[string]bool{} // by runs under way: asked for once more meanwhile
	launch := func(run string) {
		again[run] = false
		wg.Go(func() {
			d.carry(ctx, run)
			select {
			case ended <- run:
			case <-ctx.Done():
			}
		})
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case run := <-d.asked:
			if _, busy := again[run]; busy {
				again[run] = true
				continue
			}
			launch(run)
		case run := <-ended:
			more := again[run]
			delete(again, run)
			if more {
				launch(run)
			}
		}
	}
}

// firstWait is between the first two tries of a run that could not go on.
const firstWait = 250 * time.Millisecond

// carry carries a run out. When something it needs cannot be reached, it is
// tried again: the run is not over, and nobody else will take it up.
func (d *dispatcher) carry(ctx context.Context, run string) {
	for wait := firstWait; ; wait = min(2*wait, 15*time.Second) {
		result, err := d.engine.Carry(ctx, run)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			d.log.InfoContext(ctx, "run ended", "run", run, "status", result.Status, "reason", result.Reason)
			return
		case ship.KindOf(err) == ship.Fenced || errors.Is(err, context.Canceled):
			d.log.WarnContext(ctx, "run left to whoever took it over", "run", run, "error", err)
			return
		}
		d.log.WarnContext(ctx, "run interrupted, trying again", "run", run, "error", err, "after", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
