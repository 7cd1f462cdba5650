package django

import (
	"context"
	"log/slog"
	"strings"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

// An observation is the script's answer to "observe".
type observation struct {
	Recorded bool // a row in django_migrations
	Atomic   bool
	// Deferred tells that Django commits the migration's statements before it
	// writes the row, in a transaction of its own.
	Deferred bool
	Found    []string // what the migration makes and is so now, e.g. "t.c is there"
	Missing  []string // what the migration makes and is not so
	Problem  string
}

// Observe tells whether m is applied by the row Django writes and by the
// tables and columns m makes or drops. The row alone does not do: Django
// removes it only after a way down was committed, and writes it only after a
// way up was committed when statements were deferred to the end (foreign keys
// and indexes of new tables).
func (t *Tool) Observe(ctx context.Context, p migrate.Project, m ship.Migration) (migrate.State, error) {
	state, facts, err := t.observe(ctx, p, m, "")
	if err != nil {
		return migrate.StateUnknown, err
	}
	t.log.InfoContext(ctx, "observed a migration", slog.String("migration", m.ID), slog.String("state", string(state)), slog.String("facts", facts))
	return state, nil
}

// observe looks at what a way "up" or "down" left; which one is "" when unknown.
func (t *Tool) observe(ctx context.Context, p migrate.Project, m ship.Migration, mode string) (migrate.State, string, error) {
	app, name, err := split(m.ID)
	if err != nil {
		return migrate.StateUnknown, "", err
	}
	var o observation
	if err := t.ask(ctx, p, "observe", app, name, &o); err != nil {
		return migrate.StateUnknown, "", err
	}
	if o.Problem != "" {
		return migrate.StateUnknown, o.Problem, nil
	}
	down := mode == "down"
	if mode == "" {
		if down, err = wasApplied(ctx, p, m); err != nil {
			return migrate.StateUnknown, "", err
		}
	}
	return o.state(down), o.facts(), nil
}

// wasApplied tells whether our ledger has m as done, so that what was begun
// and not seen to end can only have been its way down.
func wasApplied(ctx context.Context, p migrate.Project, m ship.Migration) (bool, error) {
	if p.Session == nil {
		return false, nil
	}
	records, err := p.Session.Ledger(ctx)
	if err != nil {
		return false, err
	}
	for _, r := range records {
		if r.Migration == m.ID {
			return r.Status == ship.RecordDone, nil
		}
	}
	return false, nil
}

// state decides. down tells that a way down was begun.
func (o observation) state(down bool) migrate.State {
	visible, before, after := len(o.Found)+len(o.Missing) > 0, len(o.Found) == 0, len(o.Missing) == 0
	switch {
	case visible && !before && !after:
		return migrate.StateUnknown // half of it
	case o.Recorded && visible && before:
		return migrate.StateUnknown // undone without the row
	case o.Recorded && down && (!o.Atomic || !visible):
		return migrate.StateUnknown // parts that leave no trace may be undone
	case o.Recorded:
		return migrate.StateApplied
	case !o.Atomic && !down:
		return migrate.StateUnknown // parts that leave no trace may be done
	case visible && after:
		return migrate.StateUnknown // done without the row
	case !visible && o.Deferred && !down:
		return migrate.StateUnknown // may be done without the row
	default:
		return migrate.StateNotApplied
	}
}

func (o observation) facts() string {
	row := "django_migrations has no row of it"
	if o.Recorded {
		row = "django_migrations has a row of it"
	}
	parts := []string{row, "it runs in one transaction"}
	if !o.Atomic {
		parts[1] = "it runs without a transaction"
	}
	if seen := append(append([]string{}, o.Found...), o.Missing...); len(seen) > 0 {
		const most = 8
		if len(seen) > most {
			seen = append(seen[:most:most], "…")
		}
		parts = append(parts, strings.Join(seen, ", "))
	}
	return strings.Join(parts, "; ")
}
