package sqlfiles_test

import (
	"fmt"
	"maps"
	"testing"
	"testing/fstest"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/migrate/migratetest"
	"github.com/shiplock/shiplock/internal/migrate/sqlfiles"
	"github.com/shiplock/shiplock/internal/plugin"
)

// A writer writes a migration as a tool wants it, by number.
type writer struct {
	name  string
	write func(tree fstest.MapFS, n int, up, down string)
	dirty string // statement that leaves the tool's mark on version 2
}

func put(tree fstest.MapFS, name, text string) {
	tree["migrations/"+name] = &fstest.MapFile{Data: []byte(text)}
}

func writers() []writer {
	return []writer{
		{name: "goose", write: func(tree fstest.MapFS, n int, up, down string) {
			put(tree, fmt.Sprintf("%05d_step.sql", n), "-- +goose Up\n"+up+"\n-- +goose Down\n"+down+"\n")
		}},
		{name: "dbmate", write: func(tree fstest.MapFS, n int, up, down string) {
			put(tree, fmt.Sprintf("2026010%d_step.sql", n), "-- migrate:up\n"+up+"\n-- migrate:down\n"+down+"\n")
		}},
		{name: "golang-migrate", write: func(tree fstest.MapFS, n int, up, down string) {
			put(tree, fmt.Sprintf("%d_step.up.sql", n), up)
			put(tree, fmt.Sprintf("%d_step.down.sql", n), down)
		}, dirty: "UPDATE schema_migrations SET version = 2, dirty = true"},
		{name: "flyway", write: func(tree fstest.MapFS, n int, up, down string) {
			put(tree, fmt.Sprintf("V%d__step.sql", n), up)
			put(tree, fmt.Sprintf("U%d__step.sql", n), down)
		}, dirty: "INSERT INTO flyway_schema_history (installed_rank, version, description, type, script, installed_by, execution_time, success) " +
			"VALUES (99, '2', 'step', 'SQL', 'V2__step.sql', 'x', 1, false)"},
	}
}

func databases() map[string]func(testing.TB) *migratetest.DB {
	return map[string]func(testing.TB) *migratetest.DB{"sqlite": migratetest.SQLite, "postgres": migratetest.Postgres}
}

func tool(t *testing.T, cfg sqlfiles.Config) *sqlfiles.Tool {
	t.Helper()
	tool, err := sqlfiles.New(cfg, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return tool
}

func TestSQLFilesAreAMigrationTool(t *testing.T) {
	for _, w := range writers() {
		for kind, database := range databases() {
			t.Run(w.name+" on "+kind, func(t *testing.T) {
				migratetest.Run(t, func(t *testing.T) migratetest.Fixture { return fixture(t, w, database(t)) })
			})
		}
	}
}

func fixture(t *testing.T, w writer, db *migratetest.DB) migratetest.Fixture {
	tree := fstest.MapFS{}
	w.write(tree, 1, "CREATE TABLE author (id int);\nINSERT INTO author VALUES (1);", "DROP TABLE author;")
	w.write(tree, 2, "CREATE TABLE book (id int);", "DROP TABLE book;")
	w.write(tree, 3, "CREATE TABLE loan (id int);", "DROP TABLE loan;")
	with := func(tree fstest.MapFS) migrate.Project { return migrate.Project{Tree: tree, Session: db} }
	f := migratetest.Fixture{
		Tool: tool(t, sqlfiles.Config{}), Project: with(tree), DB: db, Tables: []string{"author", "book", "loan"},
		Fail: func(*testing.T) (migrate.Project, string) {
			more := maps.Clone(tree)
			w.write(more, 4, "CREATE TABLE halfway (id int);\nINSERT INTO nowhere VALUES (1);", "DROP TABLE halfway;")
			return with(more), "halfway"
		},
		Without: func(*testing.T) migrate.Project {
			less, last := fstest.MapFS{}, fstest.MapFS{}
			w.write(last, 3, "", "")
			for name, f := range tree {
				if last[name] == nil {
					less[name] = f
				}
			}
			return with(less)
		},
	}
	if w.dirty != "" {
		f.Dirty = func(*testing.T) { db.Exec(w.dirty) }
	}
	return f
}
