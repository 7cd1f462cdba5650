package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
)

// migrateEvidence is what a migrate step did, kept up to date migration by
// migration.
type migrateEvidence struct {
	Completed []string `json:"completed"` // applied by this run and still there
	Reverted  []string `json:"reverted"`  // applied or half applied, and taken back
	// Half is a migration whose way down failed after some of its statements.
	Half string `json:"half,omitempty"`
	// Served is the slot that served before a restore, which may have to stop it.
	Served ship.Slot `json:"served,omitempty"`
	// Tries counts how often a migration was begun anew: by the word of a
	// person, or because it did not get its lock.
	Tries map[string]int `json:"tries,omitempty"`
}

// migration is a migrate step under way.
type migration struct {
	w       *work
	params  plan.MigrateParams
	lock    database.Lock
	project migrate.Project
	list    *migrate.Listing
	found   migrateEvidence
	others  bool // another run did some of the migration under way
}

// begin takes the migration lock and lists what is there now.
func (w *work) beginMigration(ctx context.Context) (*migration, func(), error) {
	m := &migration{w: w}
	w.evidence(w.current.Kind, &m.found)
	if err := w.params(&m.params); err != nil {
		return nil, nil, err
	}
	lock, err := w.lock(ctx)
	if err != nil {
		return nil, nil, err
	}
	release := func() {
		if err := lock.Release(context.WithoutCancel(ctx)); err != nil {
			w.e.Log.Warn("release migration lock", "run", w.run.ID, "error", w.mask.String(err.Error()))
		}
	}
	project, closeProject, err := w.project(lock)
	if err != nil {
		release()
		return nil, nil, err
	}
	m.lock, m.project = lock, project
	w.retrying = w.progress(ctx)
	return m, sync.OnceFunc(func() { w.retrying = nil; closeProject(); release() }), nil
}

// doMigrate applies the pending migrations one by one. What an earlier attempt
// began is observed before it is touched.
func doMigrate(ctx context.Context, w *work) (string, any, error) {
	m, end, err := w.beginMigration(ctx)
	if err != nil {
		return "", nil, err
	}
	defer end()
	if _, held := w.left(0); held {
		if err := w.closeBehind(ctx); err != nil {
			return "", m.found, err
		}
	}
	for i, id := range m.params.IDs {
		if err := errors.Join(w.cancelRequested(ctx), m.inTime()); err != nil {
			return "", m.found, err
		}
		w.progress(ctx)(fmt.Sprintf("%s (%d of %d)", id, i+1, len(m.params.IDs)))
		if err := m.apply(ctx, id); err != nil {
			return "", m.found, err
		}
		if err := w.note(ctx, m.found); err != nil {
			return "", m.found, err
		}
	}
	return listed(m.found.Completed), m.found, nil
}

// inTime bounds the next migration by what is left of a hold: half of the whole
// is kept for the release to become healthy, or for the way back.
func (m *migration) inTime() error {
	left, held := m.w.left(0.5)
	if !held {
		return nil
	}
	if left <= 0 {
		return ship.Errorf(ship.MigrationFailed, "raise hold, or use --accept maintenance", "the hold of %s is too short for the migration", m.w.run.Request.Environment.Hold)
	}
	if m.project.Timeout <= 0 || left < m.project.Timeout {
		m.project.Timeout = left
	}
	return nil
}

// apply brings one migration to its end.
func (m *migration) apply(ctx context.Context, id string) error {
	mig, rec, err := m.look(ctx, id)
	if err != nil {
		return err
	}
	if mig.Applied && rec != nil && rec.Status == ship.RecordDone {
		m.complete(id)
		return nil
	}
	// What another run did of it is in the schema we find.
	m.others = rec != nil && rec.Status != ship.RecordDone && rec.Statement != 0 && rec.Run != m.w.run.ID
	attach := false
	switch {
	case rec != nil && rec.Status == ship.RecordStarted:
		var done bool
		if done, attach, err = m.resolve(ctx, mig, rec); err != nil || done {
			return err
		}
	case mig.Applied:
		return m.done(ctx, mig)
	}
	return m.up(ctx, mig, attach)
}

// up has the tool apply a migration. With attach it was begun before under our
// name: the tool finds it under way, or how it ended, and does not begin anew.
func (m *migration) up(ctx context.Context, mig ship.Migration, attach bool) error {
	before, err := m.before(ctx, mig)
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	project := m.project
	if !attach {
		if project, err = m.aside(ctx, mig); err != nil {
			return err
		}
		if err := m.satisfied(ctx, mig); err != nil {
			return err
		}
	}
	if !attach && !records(m.w.tool) {
		if err := m.lock.Do(ctx, ship.Work{Atomic: true, Record: []ship.Record{m.w.record(mig, ship.RecordStarted)}}); err != nil {
			return err
		}
	}
	if err := m.tryUp(ctx, project, mig); err != nil {
		if interrupted(ctx) && !timedOut(ctx) {
			return err // we are being stopped; whoever resumes observes
		}
		return m.failed(ctx, mig, before, err)
	}
	return m.done(ctx, mig)
}

func timedOut(ctx context.Context) bool {
	return ctx.Err() == context.DeadlineExceeded
}

// look reads what the tool said when the step began, and what the ledger says
// now, of a migration.
func (m *migration) look(ctx context.Context, id string) (ship.Migration, *ship.Record, error) {
	// Asking a tool may cost a second, and under the lock nobody else changes
	// anything: once is enough.
	if m.list == nil {
		l, err := m.w.list(ctx, m.lock)
		if err != nil {
			return ship.Migration{}, nil, fmt.Errorf("list migrations: %w", err)
		}
		m.list = l
	}
	i := slices.IndexFunc(m.list.Migrations, func(x ship.Migration) bool { return x.ID == id })
	if i < 0 {
		return ship.Migration{}, nil, ship.Errorf(ship.MigrationFailed, "shiplock migrate status "+m.w.env().Name, "%s is no longer in the release", id)
	}
	rec, err := m.ledger(ctx, id)
	return m.list.Migrations[i], rec, err
}

func (m *migration) ledger(ctx context.Context, id string) (*ship.Record, error) {
	all, err := m.w.db.Ledger(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if r.Migration == id {
			return &r, nil
		}
	}
	return nil, nil
}

// done records a migration as applied.
func (m *migration) done(ctx context.Context, mig ship.Migration) error {
	if !records(m.w.tool) || m.missing(ctx, mig.ID) {
		if err := m.lock.Do(ctx, ship.Work{Atomic: true, Record: []ship.Record{m.w.record(mig, ship.RecordDone)}}); err != nil {
			return fmt.Errorf("record %s: %w", mig.ID, err)
		}
	}
	m.complete(mig.ID)
	return nil
}

func (m *migration) missing(ctx context.Context, id string) bool {
	rec, err := m.ledger(ctx, id)
	return err == nil && (rec == nil || rec.Status != ship.RecordDone)
}

func (m *migration) complete(id string) {
	if !slices.Contains(m.found.Completed, id) {
		m.found.Completed = append(m.found.Completed, id)
	}
}

// failed ends a migration where it began, or says that it could not.
func (m *migration) failed(ctx context.Context, mig ship.Migration, before *database.Catalog, failure error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	left, state, err := m.leftover(ctx, mig, before)
	if err != nil {
		return m.unknown(mig, fmt.Sprintf("it failed (%v) and what it left could not be read: %v", failure, err), nil)
	}
	how := "its transaction was rolled back"
	if state != migrate.StateNotApplied || len(left) > 0 {
		if left = m.takeDown(ctx, mig, before, left); len(left) > 0 {
			if m.params.Restore {
				return ship.Errorf(ship.MigrationFailed, "shiplock explain "+m.w.run.ID, "%s failed: %w; the backup is put back", mig.ID, failure)
			}
			return m.unknown(mig, fmt.Sprintf("it failed half-way (%v) and could not be taken back", failure), left)
		}
		how = "it was taken down again"
		m.found.Reverted = append(m.found.Reverted, mig.ID)
	}
	if err := m.lock.Do(ctx, ship.Work{Atomic: true, Forget: []string{mig.ID}}); err != nil {
		return err
	}
	hint := "shiplock logs " + m.w.env().Name + " --run " + m.w.run.ID
	if m.w.detached { // whoever started us has all there is to read
		hint = "shiplock migrate status " + m.w.env().Name
	}
	return ship.Errorf(ship.MigrationFailed, hint, "%s failed: %w; %s, the schema is as it was before it", mig.ID, failure, how)
}

// leftover compares the schema with what it was.
func (m *migration) leftover(ctx context.Context, mig ship.Migration, before *database.Catalog) ([]string, migrate.State, error) {
	state, err := m.w.tool.Observe(ctx, m.project, mig)
	if err != nil {
		return nil, "", err
	}
	after, err := m.w.db.Catalog(ctx)
	if err != nil {
		return nil, "", err
	}
	left := differences(before, after)
	if m.others {
		left = append(left, "another run did some of its statements")
	}
	return left, state, nil
}

// takeDown tries the migration's own way down and returns what is still left.
func (m *migration) takeDown(ctx context.Context, mig ship.Migration, before *database.Catalog, left []string) []string {
	if !mig.Reversible {
		return left
	}
	if err := m.w.tool.Down(ctx, m.project, mig); err != nil {
		return append(left, "its way down failed: "+err.Error())
	}
	still, state, err := m.leftover(ctx, mig, before)
	if err != nil {
		return append(left, err.Error())
	}
	if m.others && state == migrate.StateNotApplied {
		return nil // what there was before all of it is not known: the tool's word counts
	}
	if state == migrate.StateApplied {
		still = append(still, mig.ID+" is still recorded as applied")
	}
	return still
}
