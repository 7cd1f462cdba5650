package django

import (
	"context"
	"fmt"
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

// attempts is how often a command is begun that was cut off and, by what the
// database shows, did nothing.
const attempts = 3

// migrate runs the project's command under a name that is the same whenever it
// is asked for, so that a command under way is waited for and not begun again.
func (t *Tool) migrate(ctx context.Context, p migrate.Project, m ship.Migration, mode, app, target string) error {
	argv := ship.Argv{t.cfg.Python, t.cfg.Manage, "migrate", app, target, "--noinput", "--database", t.cfg.Database}
	if t.cfg.Settings != "" {
		argv = append(argv, "--settings", t.cfg.Settings)
	}
	wanted, untouched := migrate.StateApplied, migrate.StateNotApplied
	if mode == "down" {
		wanted, untouched = untouched, wanted
	}
	for attempt := 1; ; attempt++ {
		name := "migrate-" + mode + "-" + m.ID
		if attempt > 1 {
			name = fmt.Sprintf("%s.%d", name, attempt)
		}
		res, err := p.Runner.Run(ctx, migrate.Command{Name: name, Argv: argv, Timeout: p.Timeout})
		if err != nil {
			return fmt.Errorf("running migrate %s %s: %w", app, target, err)
		}
		hint := "shiplock logs --job " + name
		if !res.Unknown {
			if res.Code == 0 {
				return nil
			}
			return ship.Errorf(ship.MigrationFailed, hint, "migration %s failed going %s (exit code %d): %s",
				m.ID, mode, res.Code, traceback.Reason(res.Stderr, inMigrations))
		}
		state, facts, err := t.observe(ctx, p, m, mode)
		if err != nil {
			return err
		}
		if state == wanted {
			return nil
		}
		if state != untouched || attempt == attempts {
			return ship.Errorf(ship.MigrationFailed, hint, "migration %s was cut off going %s and is now %s: %s", m.ID, mode, state, facts)
		}
	}
}
