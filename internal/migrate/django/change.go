package django

import (
	"context"
	"strings"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/traceback"
)

// A direction is the script's answer to "up" and "down".
type direction struct {
	Recorded bool
	Target   string
	Plan     []struct {
		ID        string
		Backwards bool
	}
	Irreversible []string
}

// only tells whether the plan is that one step.
func (d direction) only(id string, backwards bool) bool {
	return len(d.Plan) == 1 && d.Plan[0].ID == id && d.Plan[0].Backwards == backwards
}

func (d direction) String() string {
	if len(d.Plan) == 0 {
		return "nothing"
	}
	var b strings.Builder
	for i, step := range d.Plan {
		if i > 0 {
			b.WriteString(", ")
		}
		if step.Backwards {
			b.WriteString("undo ")
		}
		b.WriteString(step.ID)
	}
	return b.String()
}

// Up applies m by "manage.py migrate app name". It refuses when Django would
// do anything else besides, and does nothing when m is recorded as applied.
func (t *Tool) Up(ctx context.Context, p migrate.Project, m ship.Migration) error {
	app, name, err := split(m.ID)
	if err != nil {
		return err
	}
	var d direction
	if err := t.ask(ctx, p, "up", app, name, &d); err != nil {
		return err
	}
	if d.Recorded {
		return nil
	}
	if !d.only(m.ID, false) {
		return ship.Errorf(ship.MigrationFailed, "shiplock migrate status",
			"applying %s alone is not possible: Django would do %s", m.ID, d)
	}
	return t.migrate(ctx, p, m, "up", app, name)
}

// Down takes m back by "manage.py migrate app previous". It refuses, before
// anything is changed, when Django would take back anything else or cannot
// take back all of it. Django itself checks neither: it stops half-way.
func (t *Tool) Down(ctx context.Context, p migrate.Project, m ship.Migration) error {
	app, name, err := split(m.ID)
	if err != nil {
		return err
	}
	var d direction
	if err := t.ask(ctx, p, "down", app, name, &d); err != nil {
		return err
	}
	if !d.Recorded {
		return nil
	}
	if len(d.Irreversible) > 0 {
		return ship.Errorf(ship.MigrationFailed, "restore the backup, or write a reverse operation",
			"%s cannot be taken back: %s has no way back", m.ID, strings.Join(d.Irreversible, ", "))
	}
	if !d.only(m.ID, true) {
		return ship.Errorf(ship.MigrationFailed, "take back the later migrations first",
			"taking back %s alone is not possible: Django would do %s", m.ID, d)
	}
	return t.migrate(ctx, p, m, "down", app, d.Target)
}

// migrate runs the project's command.
func (t *Tool) migrate(ctx context.Context, p migrate.Project, m ship.Migration, mode, app, target string) error {
	argv := ship.Argv{t.cfg.Python, t.cfg.Manage, "migrate", app, target, "--noinput", "--database", t.cfg.Database}
	if t.cfg.Settings != "" {
		argv = append(argv, "--settings", t.cfg.Settings)
	}
	way := migrate.Way{
		Down: mode == "down", Command: migrate.Command{Argv: argv},
		Observe: func(ctx context.Context) (migrate.State, string, error) { return t.observe(ctx, p, m, mode) },
		Reason:  func(stderr []byte) string { return traceback.Reason(stderr, inMigrations) },
	}
	return way.Go(ctx, p, m)
}
