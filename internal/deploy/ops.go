package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// Plan says what a run would do. It unpacks and prepares the release, which
// changes nothing that serves, and records nothing.
func (e *Engine) Plan(ctx context.Context, req ship.Request, progress func(string)) (ship.Plan, error) {
	w, err := e.open(ship.Run{ID: "plan", Request: req})
	if err != nil {
		return ship.Plan{}, err
	}
	defer w.close()
	w.run.Request.Run = "" // no record in a ledger is ours
	if w.db != nil {
		if err := w.db.Ping(ctx); err != nil {
			return ship.Plan{}, err
		}
	}
	if err := w.upload(ctx); err != nil {
		return ship.Plan{}, err
	}
	p, err := w.platform.Prepare(ctx, w.spec)
	if err != nil {
		return ship.Plan{}, err
	}
	progress(p.Took)
	w.prepared = &p
	facts, err := w.facts(ctx)
	if err != nil {
		return ship.Plan{}, w.mask.Error(err)
	}
	out, err := w.checkDrops(ctx, plan.Build(facts))
	if err == nil {
		out, err = w.obstacles(ctx, out)
	}
	if err != nil {
		return ship.Plan{}, w.mask.Error(err)
	}
	out.Rehearsal = w.rehearsed(ctx)
	return out, nil
}

// op is something done to an environment outside a run, under the same claim.
func (e *Engine) op(ctx context.Context, req ship.Request, f func(context.Context, *work) error) error {
	w, err := e.open(ship.Run{ID: fmt.Sprintf("op-%d", time.Now().UnixNano()), Request: req})
	if err != nil {
		return err
	}
	defer w.close()
	w.detached = true
	if err := w.claim(ctx); err != nil {
		return err
	}
	ctx, stop := w.keepClaim(ctx)
	defer stop()
	err = f(ctx, w)
	return errors.Join(w.mask.Error(err), w.platform.Release(context.WithoutCancel(ctx), w.env(), w.fence))
}

// SetMode opens an environment or shows its maintenance page.
func (e *Engine) SetMode(ctx context.Context, req ship.Request, m platform.ModeChange) error {
	return e.op(ctx, req, func(ctx context.Context, w *work) error {
		if m.Mode == ship.Serving {
			if err := w.platform.StartWorkers(ctx, w.fence, w.env()); err != nil {
				return err
			}
		}
		if err := w.platform.SetMode(ctx, w.fence, w.env(), m); err != nil {
			return err
		}
		if m.Mode == ship.Maintenance {
			return w.platform.StopWorkers(ctx, w.fence, w.env())
		}
		return nil
	})
}

// BackUp saves the target database now and returns where the copy is.
func (e *Engine) BackUp(ctx context.Context, req ship.Request) (path string, err error) {
	w, err := e.open(ship.Run{ID: "backup-" + time.Now().UTC().Format("20060102-150405"), Request: req})
	if err != nil {
		return "", err
	}
	defer w.close()
	if w.db == nil {
		return "", ship.Errorf(ship.Invalid, "shiplock config show", "%s has no database", w.env())
	}
	w.detached = true
	c, err := w.copyTo(ctx)
	return c.Path, w.mask.Error(err)
}

// Restore puts a copy back. Writes have to be closed: the environment must
// show its maintenance page.
func (e *Engine) Restore(ctx context.Context, req ship.Request, path string) (kept string, err error) {
	if !filepath.IsAbs(path) {
		return "", ship.Errorf(ship.Invalid, "give an absolute path", "%s is not absolute", path)
	}
	err = e.op(ctx, req, func(ctx context.Context, w *work) error {
		if w.db == nil {
			return ship.Errorf(ship.Invalid, "shiplock config show", "%s has no database", w.env())
		}
		obs, err := w.platform.Observe(ctx, w.env())
		if err != nil {
			return err
		}
		if obs.Active != "" && obs.Mode != ship.Maintenance {
			return ship.Errorf(ship.Invalid, "shiplock maintenance on "+w.env().Name, "%s is open: what users write while a copy is put back would be lost", w.env())
		}
		f, err := os.Open(path)
		if err != nil {
			return ship.Errorf(ship.NotFound, "ls "+filepath.Dir(path), "open backup: %w", err)
		}
		defer f.Close()
		kept, err = w.putBack(ctx, f, obs.Active)
		return err
	})
	return kept, err
}

// Migrations are the migrations of a release in an environment, classified, the
// ledger of its database, and what they were judged by.
type Migrations struct {
	plan.Facts
	Known *lint.Snapshot // nil where the database did not tell
	Ahead []string       // applied, and no release that serves or may again has them
}

// Migrations lists the migrations of a release in an environment.
func (e *Engine) Migrations(ctx context.Context, req ship.Request) (Migrations, error) {
	w, err := e.open(ship.Run{ID: "status", Request: req})
	if err != nil {
		return Migrations{}, err
	}
	defer w.close()
	if w.tool == nil {
		return Migrations{}, ship.Errorf(ship.Invalid, "shiplock config show", "%s has no migrations", w.env())
	}
	if err := w.upload(ctx); err != nil {
		return Migrations{}, err
	}
	p, err := w.platform.Prepare(ctx, w.spec)
	if err != nil {
		return Migrations{}, err
	}
	w.prepared = &p
	f, err := w.facts(ctx)
	if err != nil {
		return Migrations{}, w.mask.Error(err)
	}
	return Migrations{Facts: f, Known: w.known, Ahead: slices.Sorted(maps.Keys(w.ahead(ctx, f.Listing.Migrations)))}, nil
}

// Resolve records what a person says became of a migration that was begun and
// whose end nobody saw.
func (e *Engine) Resolve(ctx context.Context, req ship.Request, id string, state migrate.State) error {
	return e.op(ctx, req, func(ctx context.Context, w *work) error {
		if w.tool == nil {
			return ship.Errorf(ship.Invalid, "shiplock config show", "%s has no migrations", w.env())
		}
		lock, err := w.db.Lock(ctx, w.fence, w.e.Holder)
		if err != nil {
			return err
		}
		defer func() { _ = lock.Release(context.WithoutCancel(ctx)) }()
		ledger, err := w.db.Ledger(ctx)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(ledger, func(r ship.Record) bool { return r.Migration == id && r.Status != ship.RecordDone })
		if at < 0 {
			return ship.Errorf(ship.NotFound, "shiplock migrate status "+w.env().Name, "%s is not under way", id)
		}
		if state == migrate.StateNotApplied {
			return lock.Do(ctx, ship.Work{Atomic: true, Forget: []string{id}})
		}
		rec := ledger[at]
		rec.Status, rec.Epoch = ship.RecordDone, w.fence.Epoch
		return lock.Do(ctx, ship.Work{Atomic: true, Record: []ship.Record{rec}})
	})
}
