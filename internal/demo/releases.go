package demo

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// Environment is the name of the demonstration's environment.
const Environment = "demo"

//go:embed migrations/*.sql
var migrations embed.FS

// A Release is one release of the sample shop.
type Release struct {
	Name       string // "v1" …
	About      string // what is new in it
	Migrations int    // how many of the shop's migrations it has
	Fault      Fault
	Dir        string // its tree; set by Releases
}

// releases lists what the demonstration deploys, in order. The third and the
// fourth are built on the second, which is good; so is the fifth, whose code
// would do but whose migration takes a column from under the running release.
func releases() []Release {
	return []Release{
		{Name: "v1", About: "the shop", Migrations: 1},
		{Name: "v2", About: "orders get a note: one additive migration", Migrations: 2},
		{Name: "v3", About: "5 % of its answers are errors", Migrations: 2, Fault: Errors},
		{Name: "v4", About: "20 % of its answers take 3 s", Migrations: 2, Fault: Slow},
		{Name: "v5", About: "its migration drops products.price, which v2 reads", Migrations: 3},
	}
}

// Place says where the demonstration happens.
type Place struct {
	Dir    string // an empty folder; absolute
	Listen string // host:port of the shop
}

// DB is the path of the shop's database.
func (p Place) DB() string { return filepath.Join(p.Dir, "shop.db") }

// Releases writes the trees of all releases, each with its shiplock.yaml and
// its migrations.
func Releases(p Place) ([]Release, error) {
	// The paths become words of a command and parts of URLs.
	if !filepath.IsAbs(p.Dir) || strings.ContainsAny(p.Dir, "$%?# ") {
		return nil, ship.Errorf(ship.Invalid, "use a plain absolute path", "demo: folder %q is not one", p.Dir)
	}
	all := releases()
	for i := range all {
		all[i].Dir = filepath.Join(p.Dir, "releases", all[i].Name)
		if err := all[i].write(p); err != nil {
			return nil, fmt.Errorf("write demo release %s: %w", all[i].Name, err)
		}
	}
	return all, nil
}

func (r Release) write(p Place) error {
	dir := filepath.Join(r.Dir, "migrations")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	names, err := fs.Glob(migrations, "migrations/*.sql") // sorted
	if err != nil {
		return err
	}
	for _, name := range names[:r.Migrations] {
		text, err := migrations.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(r.Dir, filepath.FromSlash(name)), text, 0o644); err != nil {
			return err
		}
	}
	config, err := r.config(p)
	readme := fmt.Sprintf("Release %s of the sample shop: %s.\n", r.Name, r.About)
	return errors.Join(err,
		os.WriteFile(filepath.Join(r.Dir, "shiplock.yaml"), []byte(config), 0o644),
		os.WriteFile(filepath.Join(r.Dir, "README.txt"), []byte(readme), 0o644))
}

func (r Release) config(p Place) (string, error) {
	command := []string{"$SHIPLOCK_BINARY", "demo-shop", "--listen", "127.0.0.1:$PORT", "--db", p.DB(), "--release", r.Name}
	if r.Migrations > 1 {
		command = append(command, "--notes")
	}
	if r.Fault != NoFault {
		command = append(command, "--fault", string(r.Fault))
	}
	// JSON is YAML, and quotes every character that wants quoting.
	argv, err := json.Marshal(command)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(`app: demo-shop
run:
  processes:
    web: {command: %s, grace: 5s}
health: {path: /healthz, healthy_after: 2, every: 100ms}
warmup: [/, /products]
database: {url: %q, backup: {kind: dump, to: %q}}
migrations: {tool: sqlfiles}
environments:
  %s:
    platform: process
    listen: %s
    watch: {for: 8s, error_rate: 1%%, p95: 1s}
    keep_old: 1m
    drain: 10s
`, argv, "sqlite:///"+p.DB(), "file://"+filepath.Join(p.Dir, "backups"), Environment, p.Listen), nil
}
