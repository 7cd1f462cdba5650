package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/health"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// putBack restores a copy. Where nobody may have the database open meanwhile,
// the release that served is stopped for it and started again after it;
// served is the slot it is in.
func (w *work) putBack(ctx context.Context, r io.Reader, served ship.Slot) (kept string, err error) {
	x, ok := w.db.(database.Exclusive)
	if !ok || !x.RestoreNeedsNobody() || served == "" {
		return w.db.Restore(ctx, w.fence, r)
	}
	for _, slot := range []ship.Slot{served.Other(), served} {
		if err := w.insist(ctx, func() error { return w.platform.Stop(ctx, w.fence, w.env(), slot) }); err != nil {
			return "", fmt.Errorf("stop %s for the restore: %w", slot, err)
		}
	}
	kept, err = w.db.Restore(ctx, w.fence, r)
	return kept, errors.Join(err, w.startAgain(ctx, served))
}

// startAgain starts the release that served before, where it was.
func (w *work) startAgain(ctx context.Context, slot ship.Slot) error {
	deployed, err := w.e.Journal.DeployedIn(ctx, w.env())
	if err != nil {
		return err
	}
	if len(deployed) == 0 {
		return nil
	}
	old := deployed[0]
	rel, err := w.e.Journal.Release(ctx, w.env().App, old.Release)
	if err != nil {
		return err
	}
	spec := platform.Spec{Environment: old.Settings, Release: rel}
	r, err := w.e.Resolver(old.Settings)
	if err != nil {
		return err
	}
	if spec.Vars, err = Variables(old.Settings, r); err != nil {
		return err
	}
	if err := w.insist(ctx, func() error { return w.platform.Start(ctx, w.fence, spec, slot) }); err != nil {
		return fmt.Errorf("start v%d again: %w", rel.Number, err)
	}
	targets, err := w.targetsIn(ctx, slot, old.Settings)
	if err != nil {
		return err
	}
	h := old.Settings.Health
	if err := health.Wait(ctx, targets, health.Settings{HealthyAfter: h.HealthyAfter, Every: h.Every, GiveUp: h.GiveUp}, w.progress(ctx)); err != nil {
		return fmt.Errorf("start v%d again: %w", rel.Number, err)
	}
	return w.platform.Shift(ctx, w.fence, w.env(), platform.Shift{To: slot, Drain: old.Settings.Drain, LongLivedDrain: old.Settings.LongLivedDrain})
}
