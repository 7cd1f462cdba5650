package migratetest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

// A Lab is a Python application of the examples, changed at will, with a
// PostgreSQL database of its own and commands that can be killed.
type Lab struct {
	migrate.Project
	Tool migrate.Tool
	DB   *pgx.Conn
	Run  *Killable

	t       *testing.T
	example string
}

// NewLab opens the example in a folder, with the variants laid over it, in an
// environment with the requirements.
func NewLab(t *testing.T, tool migrate.Tool, example string, requirements []string, variants ...string) *Lab {
	t.Helper()
	venv := testneed.Python(t, requirements...)
	url := testneed.Postgres(t)
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	l := &Lab{t: t, Tool: tool, DB: db, example: example, Run: &Killable{vars: []string{
		"PATH=" + filepath.Join(venv, "bin") + ":/usr/bin:/bin", "HOME=" + t.TempDir(), "LANG=C.UTF-8",
		"DATABASE_URL=" + url, "SECRET_KEY=for-tests-only", "PYTHONDONTWRITEBYTECODE=1",
	}}}
	l.Release(variants...)
	return l
}

// Release makes the project another release: the example with the variants
// laid over it.
func (l *Lab) Release(variants ...string) {
	l.t.Helper()
	dir := l.t.TempDir()
	CopyTree(l.t, l.example, dir)
	for _, v := range variants {
		CopyTree(l.t, filepath.Join(l.example, "variants", v), dir)
	}
	l.Run.dir = dir
	l.Project = migrate.Project{Dir: dir, Tree: os.DirFS(dir), Runner: l.Run, Timeout: time.Minute, Lock: time.Second}
}

// Write puts a file into the release.
func (l *Lab) Write(name, text string) {
	l.t.Helper()
	path := filepath.Join(l.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// List lists what the tool sees.
func (l *Lab) List() migrate.Listing {
	l.t.Helper()
	listing, err := l.Tool.List(l.t.Context(), l.Project)
	if err != nil {
		l.t.Fatal(err)
	}
	return listing
}

// Migration returns the migration of that name.
func (l *Lab) Migration(id string) ship.Migration {
	l.t.Helper()
	listing := l.List()
	i := slices.IndexFunc(listing.Migrations, func(m ship.Migration) bool { return m.ID == id })
	if i < 0 {
		l.t.Fatalf("no migration %s", id)
	}
	return listing.Migrations[i]
}

// Up applies a migration.
func (l *Lab) Up(id string) error {
	return l.Tool.Up(l.t.Context(), l.Project, ship.Migration{ID: id})
}

// Down takes back what the test knows to have a way down.
func (l *Lab) Down(id string) error {
	return l.Tool.Down(l.t.Context(), l.Project, ship.Migration{ID: id, Reversible: true})
}

// Observe asks what became of a migration.
func (l *Lab) Observe(id string) migrate.State {
	l.t.Helper()
	state, err := l.Tool.Observe(l.t.Context(), l.Project, ship.Migration{ID: id})
	if err != nil {
		l.t.Fatal(err)
	}
	return state
}

// Exec carries out SQL as somebody else would.
func (l *Lab) Exec(sql string) {
	l.t.Helper()
	if _, err := l.DB.Exec(l.t.Context(), sql); err != nil {
		l.t.Fatal(err)
	}
}

// Count returns the number that a query gives.
func (l *Lab) Count(sql string, args ...any) (n int) {
	l.t.Helper()
	if err := l.DB.QueryRow(l.t.Context(), sql, args...).Scan(&n); err != nil {
		l.t.Fatal(err)
	}
	return n
}

// HasColumn tells whether a table has a column.
func (l *Lab) HasColumn(table, column string) bool {
	l.t.Helper()
	return l.Count("SELECT count(*) FROM information_schema.columns WHERE table_name=$1 AND column_name=$2", table, column) == 1
}
