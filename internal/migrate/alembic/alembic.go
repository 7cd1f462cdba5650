// Package alembic is the migration tool of projects that use Alembic, by
// itself or through Flask-Migrate. It reads revision files by itself, asks
// Alembic through a script that changes nothing, and changes the schema by the
// project's own command. It knows nothing of how a command is run or where the
// database is: the project's env.py does.
package alembic

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/traceback"
)

// Config is what a project may say of its Alembic.
type Config struct {
	Flavor    string `json:"flavor,omitempty"`    // "auto" (default), "alembic", or "flask" for Flask-Migrate
	Ini       string `json:"ini,omitempty"`       // Alembic's configuration within the release; default "alembic.ini"
	App       string `json:"app,omitempty"`       // what FLASK_APP would be; default the environment's, or Flask's own search
	Directory string `json:"directory,omitempty"` // Flask-Migrate's folder; default "migrations"
	Python    string `json:"python,omitempty"`    // interpreter; default "python", the release's own
}

// The flavors of a project.
const (
	auto  = "auto"
	plain = "alembic"
	flask = "flask"
)

// Tool is Alembic as a [migrate.Tool].
type Tool struct {
	cfg Config
	log *slog.Logger
}

var _ migrate.Tool = (*Tool)(nil)

//go:embed script.py
var script []byte

// queryTimeout bounds a question to Alembic. Loading a large project takes
// seconds, never minutes.
const queryTimeout = 2 * time.Minute

// inVersions is a place in the source that tells more than Alembic's own.
var inVersions = regexp.MustCompile(`/versions/.*\.py$`)

// New returns the tool. It fails when a setting cannot be one.
func New(cfg Config, d plugin.Deps) (*Tool, error) {
	switch cfg.Flavor {
	case "":
		cfg.Flavor = auto
	case auto, plain, flask:
	default:
		return nil, ship.Errorf(ship.Invalid, "write auto, alembic or flask", "migrations.flavor: %q is unknown", cfg.Flavor)
	}
	if cfg.Ini == "" {
		cfg.Ini = "alembic.ini"
	}
	if cfg.Directory == "" {
		cfg.Directory = "migrations"
	}
	if cfg.Python == "" {
		cfg.Python = "python"
	}
	for key, name := range map[string]string{"ini": cfg.Ini, "directory": cfg.Directory} {
		if !fs.ValidPath(name) || strings.HasPrefix(name, "-") {
			return nil, ship.Errorf(ship.Invalid, "write a path relative to the release, such as db/alembic.ini", "migrations.%s: %q is no such path", key, name)
		}
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	return &Tool{cfg: cfg, log: d.Log}, nil
}

// flavor decides between Alembic and Flask-Migrate by what the tree holds.
func (t *Tool) flavor(tree fs.FS) string {
	if t.cfg.Flavor != auto {
		return t.cfg.Flavor
	}
	if _, err := fs.Stat(tree, t.cfg.Ini); err == nil {
		return plain
	}
	return flask
}

// command returns the project's own command for what would be "alembic words…".
func (t *Tool) command(tree fs.FS, words ...string) (ship.Argv, map[string]string) {
	if t.flavor(tree) == plain {
		return append(ship.Argv{t.cfg.Python, "-m", "alembic", "-c", t.cfg.Ini}, words...), nil
	}
	argv := append(ship.Argv{t.cfg.Python, "-m", "flask", "db"}, words[0], "--directory", t.cfg.Directory)
	return append(argv, words[1:]...), t.vars()
}

// vars tells Flask which application; every version of it reads FLASK_APP.
func (t *Tool) vars() map[string]string {
	if t.cfg.App == "" {
		return nil
	}
	return map[string]string{"FLASK_APP": t.cfg.App}
}

// ask runs the script and decodes its answer. revision is "" for "list".
func (t *Tool) ask(ctx context.Context, p migrate.Project, mode, revision string, answer any) error {
	argv := ship.Argv{t.cfg.Python, "-", mode, plain, t.cfg.Ini, "", revision}
	if t.flavor(p.Tree) == flask {
		argv = ship.Argv{t.cfg.Python, "-", mode, flask, t.cfg.Directory, t.cfg.App, revision}
	}
	res, err := p.Runner.Run(ctx, migrate.Command{Argv: argv, Stdin: script, Vars: t.vars(), Timeout: queryTimeout})
	if err != nil {
		return fmt.Errorf("asking Alembic: %w", err)
	}
	if res.Unknown || res.Code != 0 {
		again, _ := t.command(p.Tree, "current")
		return ship.Errorf(ship.Failed, strings.Join(again, " "), "asking Alembic (exit code %d): %s", res.Code, traceback.Reason(res.Stderr, nil))
	}
	var down struct{ Unreachable string }
	if err := json.Unmarshal(res.Stdout, &down); err != nil {
		return fmt.Errorf("asking Alembic: reading its answer of %d bytes: %w", len(res.Stdout), err)
	}
	if down.Unreachable != "" {
		return ship.Errorf(ship.Unreachable, "shiplock doctor", "Alembic cannot reach its database: %s", down.Unreachable)
	}
	return json.Unmarshal(res.Stdout, answer)
}
