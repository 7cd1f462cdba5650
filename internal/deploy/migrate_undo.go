package deploy

import (
	"context"
	"fmt"
	"slices"

	"github.com/shiplock/shiplock/internal/ship"
)

// undoMigrate takes completed migrations back where the plan says so: by their
// way down, or by the backup where writes were closed before it.
func undoMigrate(ctx context.Context, w *work) (string, any, error) {
	m, end, err := w.beginMigration(ctx)
	if err != nil {
		return "", nil, err
	}
	if !m.params.Revert {
		end()
		if len(m.found.Completed) == 0 {
			return "", m.found, nil
		}
		return "kept: " + listed(m.found.Completed) + " (expand: the old release can live with it)", m.found, nil
	}
	downErr := m.down(ctx)
	end()
	if downErr == nil {
		if len(m.found.Reverted) == 0 {
			return "", m.found, nil
		}
		return "taken down: " + listed(m.found.Reverted), m.found, nil
	}
	if !m.params.Restore {
		return "", m.found, downErr
	}
	kept, err := m.restore(ctx)
	if err != nil {
		return "", m.found, fmt.Errorf("%w; and the backup could not be put back: %w", downErr, err)
	}
	m.found.Reverted = append(m.found.Reverted, m.found.Completed...)
	if len(m.found.Reverted) == 0 {
		m.found.Reverted = m.params.IDs
	}
	m.found.Completed = nil
	return "the backup was put back; the database as it was is kept as " + kept, m.found, nil
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
		if !mig.Applied {
			continue
		}
		if !mig.Reversible {
			return ship.Errorf(ship.MigrationFailed, "", "%s has no way down: %s", id, mig.WhyNot)
		}
		if err := m.w.tool.Down(ctx, m.project, mig); err != nil {
			return fmt.Errorf("take down %s: %w", id, err)
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
