package deploy

import (
	"context"
	"fmt"
	"slices"

	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
)

// undoMigrate takes completed migrations back where the plan says so. Where
// writes were closed before a backup, that backup is put back, because it is
// exact: a way down gives a dropped column back, but not what was in it.
func undoMigrate(ctx context.Context, w *work) (string, any, error) {
	var p plan.MigrateParams
	if err := w.params(&p); err != nil {
		return "", nil, err
	}
	if !p.Revert {
		return w.keepMigrations()
	}
	if err := w.awaitDatabase(ctx); err != nil {
		return "", nil, err
	}
	m, end, err := w.beginMigration(ctx)
	if err != nil {
		return "", nil, err
	}
	defer end()
	var b Copy
	if p.Restore && w.evidence(plan.Backup, &b) && b.Path != "" {
		return m.backToBackup(ctx, end)
	}
	if err := m.down(ctx); err != nil || len(m.found.Reverted) == 0 {
		return "", m.found, err
	}
	return "taken down: " + listed(m.found.Reverted), m.found, nil
}

// awaitDatabase waits for a database that is away: without it nothing can be
// taken back, and nobody else is to be asked for what comes back by itself.
func (w *work) awaitDatabase(ctx context.Context) error {
	for said := false; ; said = true {
		err := w.db.Ping(ctx)
		if ship.KindOf(err) != ship.Unreachable {
			return nil // what else is wrong is found by whoever needs it
		}
		if !said {
			w.progress(ctx)("waiting for the database: " + err.Error())
		}
		if sleep(ctx, 2*pollEvery) != nil {
			return err
		}
	}
}

// keepMigrations leaves what was completed, which the old release can live
// with. It needs no database, which may be what failed.
func (w *work) keepMigrations() (string, any, error) {
	var found migrateEvidence
	w.evidence(plan.Migrate, &found)
	if len(found.Completed) == 0 {
		return "", found, nil
	}
	return "kept: " + listed(found.Completed) + " (expand: the old release can live with it)", found, nil
}

// backToBackup puts the backup back unless nothing was changed since it was
// taken. The lock has to be given up first: a restore ends every session.
func (m *migration) backToBackup(ctx context.Context, unlock func()) (string, any, error) {
	touched, err := m.touched(ctx)
	unlock()
	if err != nil || !touched && m.found.Served == "" {
		return "", m.found, err
	}
	kept, err := m.restore(ctx)
	if err != nil {
		return "", m.found, fmt.Errorf("put the backup back: %w", err)
	}
	m.found.Reverted, m.found.Completed = m.params.IDs, nil
	return "the backup was put back; the database as it was is kept as " + kept, m.found, nil
}

// touched tells whether any of the run's migrations was begun.
func (m *migration) touched(ctx context.Context) (bool, error) {
	for _, id := range m.params.IDs {
		mig, rec, err := m.look(ctx, id)
		if err != nil {
			return false, err
		}
		if mig.Applied || rec != nil {
			return true, nil
		}
	}
	return false, nil
}

// restore puts the run's backup back, and remembers first which slot served.
func (m *migration) restore(ctx context.Context) (string, error) {
	if m.found.Served == "" {
		obs, err := m.w.platform.Observe(ctx, m.w.env())
		if err != nil {
			return "", err
		}
		m.found.Served = obs.Active
		if err := m.w.note(ctx, m.found); err != nil {
			return "", err
		}
	}
	return m.w.restore(ctx, m.found.Served)
}

// down takes the completed migrations down, last first.
func (m *migration) down(ctx context.Context) error {
	begun := false
	for _, id := range slices.Backward(m.params.IDs) {
		mig, rec, err := m.look(ctx, id)
		if err != nil {
			return err
		}
		if rec != nil && rec.Status == ship.RecordStarted {
			begun = true
		}
		switch {
		case !mig.Applied && !slices.Contains(m.found.Completed, id):
			continue
		case !mig.Applied: // taken down before we were interrupted
		case !mig.Reversible:
			return ship.Errorf(ship.MigrationFailed, "", "%s has no way down: %s", id, mig.WhyNot)
		default:
			if err := m.w.tool.Down(ctx, m.project, mig); err != nil {
				if now, unread := m.ledger(context.WithoutCancel(ctx), id); unread == nil && now != nil && now.Status != ship.RecordDone && now.Statement < -1 {
					m.found.Half = id
				}
				return fmt.Errorf("take down %s: %w", id, err)
			}
			m.found.Half = ""
		}
		if err := m.lock.Do(ctx, ship.Work{Atomic: true, Forget: []string{id}}); err != nil {
			return err
		}
		m.found.Completed = slices.DeleteFunc(m.found.Completed, func(x string) bool { return x == id })
		m.found.Reverted = append(m.found.Reverted, id)
		if err := m.w.note(ctx, m.found); err != nil {
			return err
		}
	}
	if begun {
		return ship.Errorf(ship.MigrationFailed, "", "a migration failed half-way")
	}
	return nil
}
