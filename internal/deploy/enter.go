package deploy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// Entry is what a release does before its server starts, where no run did it:
// in a container, or in a slot of a hosted platform.
type Entry struct {
	Request ship.Request
	Dir     string         // the release's folder
	Tree    fs.FS          // the files in it that a release would have; default all
	Runner  migrate.Runner // runs its commands
	Migrate bool           // apply what is pending
	Wait    time.Duration  // for the database, and for a replica that migrates
}

// Enter waits for the database, applies what is pending if that is asked for,
// and makes sure that release and database fit. Replicas that enter at once
// wait for the one that migrates.
func (e *Engine) Enter(ctx context.Context, in Entry) error {
	w, err := e.open(ship.Run{ID: fmt.Sprintf("start-%d", time.Now().UnixNano()), Request: in.Request})
	if err != nil {
		return err
	}
	defer w.close()
	if w.files = in.Tree; w.files == nil {
		w.files = os.DirFS(in.Dir)
	}
	w.detached, w.local, w.prepared = true, in.Runner, &platform.Prepared{Dir: in.Dir}
	if w.db == nil {
		return nil
	}
	if err := w.reach(ctx, in.Wait); err != nil || w.tool == nil {
		return err
	}
	if in.Migrate {
		err = w.migrateOnce(ctx, in.Wait)
	} else {
		err = w.fits(ctx)
	}
	return w.mask.Error(err)
}

// reach waits until the database answers.
func (w *work) reach(ctx context.Context, atMost time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	for {
		err := w.db.Ping(ctx)
		if err == nil {
			return nil
		}
		w.e.Log.InfoContext(ctx, "waiting for the database", "error", w.mask.String(err.Error()))
		if sleep(ctx, time.Second) != nil {
			return w.mask.Error(err)
		}
	}
}

// fits refuses to start a release on a database it cannot run on, naming both
// sides. A database that is ahead by expand migrations only is fine.
func (w *work) fits(ctx context.Context) error {
	pending, err := w.pending(ctx)
	if err == nil && len(pending) > 0 {
		err = ship.Errorf(ship.Invalid, "shiplock start --migrate", "the release needs %d migrations that %s does not have, %s first",
			len(pending), w.db.Name(), pending[0].ID)
	}
	return err
}

// pending returns what the release needs and the database does not have.
func (w *work) pending(ctx context.Context) ([]ship.Migration, error) {
	facts, err := w.fitFacts(ctx)
	if err != nil {
		return nil, err
	}
	p := plan.Build(facts)
	if p.Refused != nil {
		return nil, &ship.Error{Kind: p.Refused.Kind, Hint: p.Refused.Hint, Err: errors.New(p.Refused.Reason)}
	}
	for _, x := range p.Waiting {
		w.e.Log.InfoContext(ctx, "a contract waits for a run of its own", "migration", x.Migration.ID)
	}
	return p.Migrations, nil
}

func (w *work) fitFacts(ctx context.Context) (plan.Facts, error) {
	f := plan.Facts{Request: w.run.Request}
	var err error
	if f.Ledger, err = w.db.Ledger(ctx); err != nil {
		return f, err
	}
	if f.Listing, err = w.list(ctx, nil); err != nil {
		return f, err
	}
	if err := w.contractFacts(ctx, &f, false); err != nil {
		return f, err
	}
	f.Unsettled, err = w.unsettled(ctx, f.Ledger, f.Listing.Migrations)
	return f, err
}

// migrateOnce applies what is pending under the fenced lock. Whoever comes
// second waits, and finds nothing left to do.
func (w *work) migrateOnce(ctx context.Context, atMost time.Duration) error {
	begun := time.Now()
	waiting, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	for {
		err := w.migratePending(ctx)
		if p, ok := errors.AsType[*pauseError](err); ok {
			return ship.Errorf(ship.MigrationFailed, p.next, "%s", strings.Join(append([]string{p.reason}, p.facts...), "; "))
		}
		if k := ship.KindOf(err); k != ship.Locked && k != ship.Fenced {
			return err
		}
		w.e.Log.InfoContext(ctx, "waiting for another migration", "waited", time.Since(begun).Round(time.Second), "error", w.mask.String(err.Error()))
		if sleep(waiting, time.Second) != nil {
			return err
		}
	}
}

func (w *work) migratePending(ctx context.Context) error {
	seen, err := w.db.Epoch(ctx)
	if err != nil {
		return err
	}
	w.fence = ship.Fence{Run: w.run.ID, Epoch: max(1, seen)}
	pending, end, err := w.turn(ctx)
	if err != nil || len(pending) == 0 {
		return w.overtaken(ctx, err)
	}
	defer end()
	if err := w.nobodyInTheWay(ctx, pending); err != nil {
		return err
	}
	// We are alone: what a replica that died has left is ended now.
	w.fence.Epoch++
	w.current.Params = []byte(`{}`)
	m, endMigration, err := w.beginMigration(ctx)
	if err != nil {
		return err
	}
	defer endMigration()
	for _, mig := range pending {
		if err := m.apply(ctx, mig.ID); err != nil {
			return err
		}
	}
	return nil
}

// turn takes the lock with the epoch the database is at, if anything is
// pending. A higher one would end whoever is at work; this one fails with kind
// Locked instead.
func (w *work) turn(ctx context.Context) (pending []ship.Migration, end func(), err error) {
	if pending, err = w.pending(ctx); err != nil || len(pending) == 0 {
		return nil, nil, err
	}
	lock, err := w.db.Lock(ctx, w.fence, w.e.Holder)
	if err != nil {
		return nil, nil, fmt.Errorf("take the migration lock: %w", err)
	}
	end = func() { _ = lock.Release(context.WithoutCancel(ctx)) }
	if pending, err = w.pending(ctx); err != nil || len(pending) == 0 {
		end()
	}
	return pending, end, err
}

// overtaken tells what went wrong by itself from what went wrong because a
// replica whose turn it is ended our sessions: its epoch shows soon after.
func (w *work) overtaken(ctx context.Context, failure error) error {
	if k := ship.KindOf(failure); failure == nil || k != ship.Internal && k != ship.Unreachable {
		return failure
	}
	for range 10 {
		if now, err := w.db.Epoch(ctx); err == nil && now > w.fence.Epoch {
			return ship.Errorf(ship.Fenced, "", "epoch %d has the database now: %w", now, failure)
		}
		if sleep(ctx, 5*pollEvery) != nil {
			break
		}
	}
	return failure
}
