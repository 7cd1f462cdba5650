package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/backfill"
	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// PauseBackfill is the signal that stops the backfill a run is at.
const PauseBackfill = "pause-backfill"

// backfillTool is what the ledger has as the tool of a backfill.
const backfillTool = "backfill"

// appSeconds is how far back the application is asked how it does.
const appSeconds = 10

// backfillEvidence is what a backfill step did.
type backfillEvidence struct {
	Done    []string `json:"done"`
	Stopped string   `json:"stopped,omitempty"` // why the rest is not done, in a sentence
}

// backfillFiles reads the backfills of the release.
func (w *work) backfillFiles() ([]backfill.File, error) {
	tree, closeTree, err := w.tree()
	if err != nil {
		return nil, err
	}
	files, err := backfill.Read(tree, sqltext.Dialect(w.run.Request.Environment.Database.Kind))
	return files, errors.Join(err, closeTree())
}

// backfillings says of each backfill of the release how far it is.
func (w *work) backfillings(ctx context.Context) ([]plan.Backfilling, error) {
	files, err := w.backfillFiles()
	if err != nil || len(files) == 0 {
		return nil, err
	}
	db, ok := w.db.(database.Backfiller)
	if !ok {
		return nil, ship.Errorf(ship.Refused, "take the folder out of the release", "a database of kind %s cannot carry out %s", w.run.Request.Environment.Database.Kind, files[0].Name)
	}
	kept, err := db.Progress(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]plan.Backfilling, len(files))
	for i, f := range files {
		all[i] = plan.Backfilling{Name: f.Name, Checksum: f.Checksum, Table: f.Table}
		if at := slices.IndexFunc(kept, func(p database.Progress) bool { return p.Name == f.Name }); at >= 0 {
			all[i].Kept = kept[at]
		}
	}
	return all, nil
}

// doBackfill carries the backfills on, one after the other, each from its
// cursor. It is repeated after a crash, and what is done is not done again. A
// backfill that cannot go on takes nothing back: in a run that deploys it is a
// note, since the release serves; in a run of its own it is a failure.
func doBackfill(ctx context.Context, w *work) (string, any, error) {
	var p plan.BackfillParams
	if err := w.params(&p); err != nil {
		return "", nil, err
	}
	var found backfillEvidence
	status, err := w.fillAll(ctx, p.Names, &found)
	switch {
	case err == nil && found.Stopped == "":
		return strings.Join(found.Done, ", ") + " done and recorded", found, nil
	case err != nil && (interrupted(ctx) && !timedOut(ctx) || ship.KindOf(err) == ship.Fenced || unrecorded(err)):
		return "", found, err
	case err != nil:
		status, found.Stopped = database.FillStopped, err.Error()
	}
	found.Stopped = w.mask.String(found.Stopped)
	own := w.run.Request.Options.Backfill != ""
	switch {
	case own && status == database.FillStopped:
		return "", found, ship.Errorf(ship.MigrationFailed, "shiplock migrate backfill run "+w.env().Name, "%s", found.Stopped)
	case own && status == "":
		return "", found, &ship.Error{Kind: ship.Interrupted, Hint: "shiplock migrate backfill run " + w.env().Name, Err: fmt.Errorf("%w: %s", errCancelled, found.Stopped)}
	}
	w.event(ctx, ship.EventNote, found.Stopped, nil)
	return "not all is done, the run ends without it", found, nil
}

// fillAll returns how the last backfill ended that was carried on; "" when a
// person cancelled the run.
func (w *work) fillAll(ctx context.Context, names []string, found *backfillEvidence) (status string, err error) {
	files, err := w.backfillFiles()
	if err != nil {
		return "", err
	}
	db, ok := w.db.(database.Backfiller)
	if !ok {
		return "", ship.Errorf(ship.Internal, "", "the database cannot carry out backfills")
	}
	lock, err := w.lock(ctx)
	if err != nil {
		return "", err
	}
	defer func() {
		if err := lock.Release(context.WithoutCancel(ctx)); err != nil {
			w.e.Log.Warn("release migration lock", "run", w.run.ID, "error", w.mask.String(err.Error()))
		}
	}()
	filler, ok := lock.(database.Filler)
	if !ok {
		return "", ship.Errorf(ship.Internal, "", "the migration lock cannot carry out backfills")
	}
	for _, f := range files {
		if !slices.Contains(names, f.Name) {
			continue
		}
		cancelled := false
		out, err := backfill.Run(ctx, f, w.fillDeps(db, filler, &cancelled))
		if err != nil {
			return "", fmt.Errorf("%s: %w", f.Name, err)
		}
		if out.Status == database.FillDone {
			w.event(ctx, ship.EventProgress, f.Name+": "+out.Text, nil)
			found.Done = append(found.Done, f.Name)
			continue
		}
		found.Stopped = fmt.Sprintf("%s: %s", f.Name, out.Text)
		if cancelled {
			return "", nil
		}
		return out.Status, nil
	}
	return database.FillDone, nil
}

func (w *work) fillDeps(db database.Backfiller, lock database.Filler, cancelled *bool) backfill.Deps {
	begun, left := time.Now(), false
	return backfill.Deps{
		DB: db, Lock: lock, Fence: w.fence,
		Stop: func(ctx context.Context) (status, why string, err error) {
			status, why, *cancelled = w.fillStop(ctx)
			return status, why, nil
		},
		Tell: func(text string, p database.Progress) {
			w.event(context.Background(), ship.EventProgress, text, p)
			if !left && time.Since(begun) > worthLeaving {
				left = true
				w.letLeave(context.Background())
			}
		},
		App:    w.app,
		Record: w.fillRecord,
	}
}

// letLeave tells who waits for proven health that there is nothing more to wait
// for: a backfill takes hours, and its release serves.
func (w *work) letLeave(ctx context.Context) {
	var seen watchEvidence
	if !w.evidence(plan.Watch, &seen) {
		return
	}
	r := w.result(ctx, nil)
	r.Status = ship.Running
	switch r.Health {
	case ship.Proven:
		r.Reason = fmt.Sprintf("v%d is healthy, proven; its backfill goes on", r.Candidate)
		w.event(ctx, ship.EventHealthy, r.Reason, r)
	case ship.Unproven:
		r.Reason = fmt.Sprintf("v%d serves; %s; its backfill goes on", r.Candidate, seen.Verdict.Reason)
		w.event(ctx, ship.EventUnproven, r.Reason, r)
	}
}

// fillStop tells whether a person wants the backfill to pause, or the run to
// end. What is said while a run is at its backfill is about the backfill: the
// release that serves stays.
func (w *work) fillStop(ctx context.Context) (status, why string, cancelled bool) {
	for _, name := range []string{PauseBackfill, "cancel"} {
		sig, err := w.e.Journal.TakeSignal(ctx, w.run.ID, name)
		switch {
		case err != nil:
			return "", "", false // it is read at the next look
		case sig == nil:
		case name == PauseBackfill && sig.Data == "":
			return database.FillPaused, "paused by " + sig.By, false
		default:
			return database.FillStopped, "stopped by " + sig.By, true
		}
	}
	return "", "", false
}

func (w *work) fillRecord(f backfill.File) ship.Record {
	return ship.Record{
		Migration: f.Name, Checksum: f.Checksum, Tool: backfillTool, Phase: ship.Backfill, Status: ship.RecordDone,
		Release: w.run.Request.Release.Artifact.Digest, Run: w.run.ID, Epoch: w.fence.Epoch,
	}
}

// app says how many requests of the last seconds were slower than the watch's
// limit. A platform that does not know, or does not answer, holds nothing up.
func (w *work) app(ctx context.Context) (a backfill.App) {
	a.Limit = w.run.Request.Environment.Watch.P95
	witness, ok := w.direct.(platform.Witness)
	if !ok || a.Limit <= 0 {
		return a
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	seen, err := witness.Evidence(ctx, w.env(), appSeconds)
	if err != nil {
		return a
	}
	for _, seconds := range seen.Slots {
		for _, s := range seconds {
			a.Requests += s.Requests
			a.Slow += s.Slow
		}
	}
	return a
}

// backfillNotes say in the result of a run what its backfills left.
func (w *work) backfillNotes() []string {
	var found backfillEvidence
	if !w.evidence(plan.Backfill, &found) || found.Stopped == "" {
		return nil
	}
	return []string{found.Stopped + "; carry it on with: shiplock migrate backfill run " + w.env().Name}
}

// Backfills lists the backfills of a release and how far they are in an
// environment.
func (e *Engine) Backfills(ctx context.Context, req ship.Request) ([]plan.Backfilling, error) {
	w, err := e.open(ship.Run{ID: "status", Request: req})
	if err != nil {
		return nil, err
	}
	defer w.close()
	if w.db == nil {
		return nil, ship.Errorf(ship.Invalid, "shiplock config show", "%s has no database", w.env())
	}
	all, err := w.backfillings(ctx)
	return all, w.mask.Error(err)
}

// PauseBackfills keeps the backfills of a release that are not done from being
// carried on, while no run is at them.
func (e *Engine) PauseBackfills(ctx context.Context, req ship.Request, by string) error {
	return e.op(ctx, req, func(ctx context.Context, w *work) error {
		all, err := w.backfillings(ctx)
		if err != nil {
			return err
		}
		lock, err := w.lock(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = lock.Release(context.WithoutCancel(ctx)) }()
		filler, ok := lock.(database.Filler)
		for _, b := range all {
			if !ok || b.Kept.Status == database.FillDone {
				continue
			}
			p := b.Kept
			if p.Name == "" {
				p = database.Progress{Name: b.Name, Checksum: b.Checksum, Pass: 1, Began: time.Now().UTC()}
			}
			p.Status, p.Note = database.FillPaused, "paused by "+by
			if err := filler.Keep(ctx, p); err != nil {
				return err
			}
		}
		return nil
	})
}
