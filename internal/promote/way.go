package promote

import (
	"context"
	"time"

	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
)

// wayTime is how long a run that is at its backfill has to end after its batch.
const wayTime = 15 * time.Second

// MakeWay has a run that is at its backfill end after the batch under way; its
// cursor is kept, and the next run goes on from there. Another run is left
// alone.
func (d *Desk) MakeWay(ctx context.Context, run ship.Run, sig ship.Signal) error {
	if !d.AtBackfill(ctx, run) {
		return ship.Errorf(ship.Locked, "shiplock watch "+run.ID, "run %s is under way and not at a backfill", run.ID)
	}
	if err := d.Store.Signal(ctx, run.ID, sig); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, wayTime)
	defer cancel()
	for {
		changed := d.Store.Changed()
		now, err := d.Store.Run(ctx, run.ID)
		if err != nil || now.Status.Ended() {
			return err
		}
		select {
		case <-ctx.Done():
			return ship.Errorf(ship.Locked, "shiplock watch "+run.ID, "run %s has not ended its batch in %s", run.ID, wayTime)
		case <-changed:
		}
	}
}

// AtBackfill tells whether the last step a run began is a backfill that has not
// ended.
func (d *Desk) AtBackfill(ctx context.Context, run ship.Run) bool {
	entries, err := d.Store.Journal(ctx, run.ID)
	if err != nil || len(entries) == 0 {
		return false
	}
	last := entries[len(entries)-1]
	return run.Status == ship.Running && last.Name == plan.Backfill && last.State == ship.StepStarted
}

// addOrClear records a wish as a run that begins. A backfill never keeps an
// environment from being deployed to, least of all from going back: it makes
// way, and is carried on later.
func (d *Desk) addOrClear(ctx context.Context, wish ship.Request) (ship.Run, error) {
	run, err := d.add(ctx, wish, "")
	if ship.KindOf(err) != ship.Locked || wish.Options.Backfill != "" || wish.Options.Contract {
		return run, err
	}
	open, lerr := d.open(ctx, wish.Environment.ID)
	if lerr != nil || open == nil || !d.AtBackfill(ctx, *open) {
		return run, err
	}
	if err := d.MakeWay(ctx, *open, ship.Signal{Name: deploy.PauseBackfill, By: wish.By, Data: wish.Verb}); err != nil {
		return run, err
	}
	return d.add(ctx, wish, "")
}

// clear asks a backfill that a run in the queue waits for to make way, once.
func (d *Desk) clear(ctx context.Context, waiting ship.Run, asked map[string]bool) error {
	open, err := d.open(ctx, waiting.Request.Environment.ID)
	if err != nil || open == nil || asked[open.ID] || !d.AtBackfill(ctx, *open) {
		return err
	}
	asked[open.ID] = true
	return d.Store.Signal(ctx, open.ID, ship.Signal{Name: deploy.PauseBackfill, By: waiting.Request.By, Data: waiting.Request.Verb})
}
