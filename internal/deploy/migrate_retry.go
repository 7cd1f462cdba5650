package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

// tryUp has the tool apply a migration. A tool that carries statements out
// through our session has them tried again there; one with a program of its own
// is started again when its migration did not get a lock, as long as nothing of
// it is there.
func (m *migration) tryUp(ctx context.Context, project migrate.Project, mig ship.Migration) error {
	try := func(time.Duration) error {
		return m.w.tool.Up(ctx, m.w.projectFor(project, mig, m.found.Tries[mig.ID]), mig)
	}
	if records(m.w.tool) || !mig.Atomic {
		return try(0)
	}
	env := m.w.run.Request.Environment.Migrate
	return database.Retry(ctx, env.LockRetry, env.LockTimeout, func(wait time.Duration) error {
		err := try(wait)
		if err == nil || !gotNoLock(err) {
			return err
		}
		if state, unseen := m.w.tool.Observe(ctx, m.project, mig); unseen != nil || state != migrate.StateNotApplied {
			return err
		}
		if lost := m.anew(ctx, mig); lost != nil {
			return errors.Join(err, lost)
		}
		return fmt.Errorf("%w: %w", database.ErrBusy, err)
	}, m.w.retrying)
}

// gotNoLock tells by its words whether a tool's program failed for want of a
// lock: PostgreSQL's for one that was not granted in time.
func gotNoLock(err error) bool {
	return strings.Contains(err.Error(), "canceling statement due to lock timeout")
}
