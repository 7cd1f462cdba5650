// Package django is the migration tool of Django projects, from Django 3.2 on.
// It reads migration files by itself, asks Django through a script that
// changes nothing, and changes the schema by the project's own manage.py. It
// knows nothing of how a command is run or where the database is.
package django

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/traceback"
)

// Config is what a project may say of its Django.
type Config struct {
	Manage   string `json:"manage,omitempty"`   // path of manage.py within the release; default "manage.py"
	Database string `json:"database,omitempty"` // alias in DATABASES; default "default"
	Settings string `json:"settings,omitempty"` // settings module; default what manage.py sets
	Python   string `json:"python,omitempty"`   // interpreter; default "python", the release's own
}

// Tool is Django as a [migrate.Tool].
type Tool struct {
	cfg Config
	log *slog.Logger
}

var _ migrate.Tool = (*Tool)(nil)

//go:embed script.py
var script []byte

// queryTimeout bounds a question to Django. Loading a large project takes
// seconds, never minutes.
const queryTimeout = 2 * time.Minute

var (
	aliasOrModule = regexp.MustCompile(`^[A-Za-z_][\w.]*$`)
	// inMigrations is a place in the source that tells more than Django's own.
	inMigrations = regexp.MustCompile(`/migrations/[^/]+\.py$`)
)

// New returns the tool. It fails when a setting cannot be one.
func New(cfg Config, d plugin.Deps) (*Tool, error) {
	if cfg.Manage == "" {
		cfg.Manage = "manage.py"
	}
	if cfg.Database == "" {
		cfg.Database = "default"
	}
	if cfg.Python == "" {
		cfg.Python = "python"
	}
	if !aliasOrModule.MatchString(cfg.Database) {
		return nil, ship.Errorf(ship.Invalid, "name an alias of DATABASES", "migrations.database: %q is no alias", cfg.Database)
	}
	if cfg.Settings != "" && !aliasOrModule.MatchString(cfg.Settings) {
		return nil, ship.Errorf(ship.Invalid, "name a module, such as shop.settings", "migrations.settings: %q is no module", cfg.Settings)
	}
	if strings.HasPrefix(cfg.Manage, "-") {
		return nil, ship.Errorf(ship.Invalid, "name the file manage.py", "migrations.manage: %q is no path", cfg.Manage)
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	return &Tool{cfg: cfg, log: d.Log}, nil
}

// ask runs the script and decodes its answer. app and name are "" for "list".
func (t *Tool) ask(ctx context.Context, p migrate.Project, mode, app, name string, answer any) error {
	res, err := p.Runner.Run(ctx, migrate.Command{
		Argv:    ship.Argv{t.cfg.Python, "-", mode, t.cfg.Manage, t.cfg.Database, t.cfg.Settings, app, name},
		Stdin:   script,
		Timeout: queryTimeout,
	})
	if err != nil {
		return fmt.Errorf("asking Django: %w", err)
	}
	if res.Unknown || res.Code != 0 {
		return ship.Errorf(ship.Failed, "python "+t.cfg.Manage+" showmigrations --plan",
			"asking Django (exit code %d): %s", res.Code, traceback.Reason(res.Stderr, nil))
	}
	var down struct{ Unreachable string }
	if err := json.Unmarshal(res.Stdout, &down); err != nil {
		return fmt.Errorf("asking Django: reading its answer of %d bytes: %w", len(res.Stdout), err)
	}
	if down.Unreachable != "" {
		return ship.Errorf(ship.Unreachable, "shiplock doctor", "Django cannot reach its database: %s", down.Unreachable)
	}
	return json.Unmarshal(res.Stdout, answer)
}

// split returns the app label and the name in a migration's ID.
func split(id string) (app, name string, err error) {
	app, name, ok := strings.Cut(id, ".")
	if !ok || app == "" || name == "" || strings.HasPrefix(app, "-") || strings.HasPrefix(name, "-") {
		return "", "", ship.Errorf(ship.Invalid, "", "%q is no migration of Django, which are written app.name", id)
	}
	return app, name, nil
}
