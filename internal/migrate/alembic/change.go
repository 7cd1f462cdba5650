package alembic

import (
	"context"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/traceback"
)

// A direction is the script's answer to "up" and "down".
type direction struct {
	Problem string
	Applied bool
	Target  string
	Plan    []string
}

// unsafe is what a command's name and its arguments must not hold.
var unsafe = regexp.MustCompile(`^-|[^\w.-]`)

// Up applies m by "upgrade revision". It refuses when Alembic would do
// anything else besides, and does nothing when m is applied.
func (t *Tool) Up(ctx context.Context, p migrate.Project, m ship.Migration) error {
	d, err := t.direction(ctx, p, "up", m)
	if err != nil || d.Applied {
		return err
	}
	if !slices.Equal(d.Plan, []string{m.ID}) {
		return ship.Errorf(ship.MigrationFailed, "shiplock migrate status",
			"applying %s alone is not possible: Alembic would apply %s", m.ID, orNothing(d.Plan))
	}
	return t.migrate(ctx, p, m, "up", "upgrade", m.ID)
}

// Down takes m back by "downgrade previous". It refuses, before anything is
// changed, when Alembic would take back anything else, or m has no way down:
// to Alembic an empty downgrade() is one that worked.
func (t *Tool) Down(ctx context.Context, p migrate.Project, m ship.Migration) error {
	d, err := t.direction(ctx, p, "down", m)
	if err != nil || !d.Applied {
		return err
	}
	if !slices.Equal(d.Plan, []string{m.ID}) {
		return ship.Errorf(ship.MigrationFailed, "take back the later migrations first",
			"taking back %s alone is not possible: Alembic would take back %s", m.ID, orNothing(d.Plan))
	}
	if !m.Reversible {
		return ship.Errorf(ship.MigrationFailed, "restore the backup, or write a downgrade()", "%s cannot be taken back: %s", m.ID, m.WhyNot)
	}
	return t.migrate(ctx, p, m, "down", "downgrade", d.Target)
}

func orNothing(plan []string) string {
	if len(plan) == 0 {
		return "nothing"
	}
	return strings.Join(plan, ", ")
}

func (t *Tool) direction(ctx context.Context, p migrate.Project, mode string, m ship.Migration) (direction, error) {
	if m.ID == "" || unsafe.MatchString(m.ID) {
		return direction{}, ship.Errorf(ship.Invalid, "give it a revision of letters, digits, '_', '-' and '.'", "%q is no revision that can be named in a command", m.ID)
	}
	var d direction
	if err := t.ask(ctx, p, mode, m.ID, &d); err != nil {
		return d, err
	}
	if d.Problem != "" {
		return d, ship.Errorf(ship.MigrationFailed, "shiplock migrate status", "%s cannot go %s: %s", m.ID, mode, d.Problem)
	}
	return d, nil
}

// migrate runs the project's command.
func (t *Tool) migrate(ctx context.Context, p migrate.Project, m ship.Migration, mode, verb, target string) error {
	argv, vars := t.command(p.Tree, verb, target)
	way := migrate.Way{
		Down: mode == "down", Command: migrate.Command{Argv: argv, Vars: vars},
		Observe: func(ctx context.Context) (migrate.State, string, error) { return t.observe(ctx, p, m, mode) },
		Reason:  func(stderr []byte) string { return traceback.Reason(stderr, inVersions) },
	}
	return way.Go(ctx, p, m)
}

// Observe tells whether m is applied by alembic_version, which Alembic changes
// in the same transaction as the schema. Of a revision that leaves the
// transaction only what is recorded after its end is known.
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
	var o struct {
		Problem         string
		Applied, Atomic bool
		Heads           []string
	}
	if err := t.ask(ctx, p, "observe", m.ID, &o); err != nil {
		return migrate.StateUnknown, "", err
	}
	if o.Problem != "" {
		return migrate.StateUnknown, o.Problem, nil
	}
	down := mode == "down"
	if mode == "" {
		done, err := recordedDone(ctx, p)
		if err != nil {
			return migrate.StateUnknown, "", err
		}
		down = done[m.ID] // what was begun with it done can only be its way down
	}
	facts := "alembic_version is at " + orNothing(o.Heads)
	if o.Atomic {
		facts += "; it runs in one transaction"
	} else {
		facts += "; it leaves the transaction"
	}
	switch {
	case o.Applied && (o.Atomic || !down):
		return migrate.StateApplied, facts, nil
	case !o.Applied && (o.Atomic || down):
		return migrate.StateNotApplied, facts, nil
	}
	return migrate.StateUnknown, facts, nil
}
