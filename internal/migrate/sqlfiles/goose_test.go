package sqlfiles_test

import (
	"context"
	"io/fs"
	"testing"
	"testing/fstest"

	gooselib "github.com/pressly/goose/v3"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/migrate/migratetest"
	"github.com/shiplock/shiplock/internal/migrate/sqlfiles"
	"github.com/shiplock/shiplock/internal/ship"
)

// gooseTree has what goose's users write, besides plain statements.
func gooseTree() fstest.MapFS {
	tree := fstest.MapFS{}
	put(tree, "00001_init.sql", "-- +goose Up\nCREATE TABLE author (id int);\n-- +goose Down\nDROP TABLE author;\n")
	put(tree, "00002_loop.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE book (id int);\nINSERT INTO book VALUES (1); -- one\n-- +goose Down\nDROP TABLE book;\n")
	put(tree, "20260101000000_late.sql", "-- +goose Up\n-- +goose StatementBegin\nINSERT INTO author VALUES (1);\n-- +goose StatementEnd\nCREATE TABLE loan (id int);\n"+
		"-- +goose Down\nDROP TABLE loan;\nDELETE FROM author;\n")
	put(tree, "README.md", "not a migration")
	return tree
}

// provider returns the library itself over the same database and files.
func provider(t *testing.T, db *migratetest.DB, tree fs.FS) *gooselib.Provider {
	t.Helper()
	dialect := gooselib.DialectSQLite3
	if db.Dialect() == "postgres" {
		dialect = gooselib.DialectPostgres
	}
	sub, err := fs.Sub(tree, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	p, err := gooselib.NewProvider(dialect, db.Pool(), sub)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func list(t *testing.T, tool *sqlfiles.Tool, p migrate.Project) migrate.Listing {
	t.Helper()
	l, err := tool.List(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func upAll(t *testing.T, tool *sqlfiles.Tool, p migrate.Project) {
	t.Helper()
	for _, m := range list(t, tool, p).Migrations {
		if m.Applied {
			continue
		}
		m.Phase = ship.Expand
		if err := tool.Up(t.Context(), p, m); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGooseGoesOnWhereSQLFilesLeftOff(t *testing.T) {
	for kind, database := range databases() {
		t.Run(kind, func(t *testing.T) {
			db, tree := database(t), gooseTree()
			tool, p := tool(t, sqlfiles.Config{}), migrate.Project{Tree: tree, Session: db}
			upAll(t, tool, p)

			g := provider(t, db, tree)
			if pending, err := g.HasPending(t.Context()); err != nil || pending {
				t.Fatalf("goose finds something pending: %v, %v", pending, err)
			}
			if done, err := g.Up(t.Context()); err != nil || len(done) > 0 {
				t.Fatalf("goose applies %v, %v", done, err)
			}
			if _, err := g.Down(t.Context()); err != nil {
				t.Fatalf("goose cannot take the last one back: %v", err)
			}
			l := list(t, tool, p)
			if l.Migrations[2].Applied || !l.Migrations[1].Applied || len(l.Problems)+len(l.Unknown) > 0 {
				t.Errorf("after goose's down: %+v", l)
			}
			upAll(t, tool, p)
			if pending, err := g.HasPending(t.Context()); err != nil || pending {
				t.Errorf("goose finds something pending: %v, %v", pending, err)
			}
		})
	}
}

func TestSQLFilesGoOnWhereGooseLeftOff(t *testing.T) {
	for kind, database := range databases() {
		t.Run(kind, func(t *testing.T) {
			db, tree := database(t), gooseTree()
			tool, p := tool(t, sqlfiles.Config{}), migrate.Project{Tree: tree, Session: db}
			g := provider(t, db, tree)
			if _, err := g.Up(t.Context()); err != nil {
				t.Fatal(err)
			}
			l := list(t, tool, p)
			for _, m := range l.Migrations {
				if !m.Applied {
					t.Errorf("%s is not applied", m.ID)
				}
			}
			if len(l.Problems)+len(l.Unknown) > 0 || l.Dirty != "" {
				t.Errorf("%+v", l)
			}
			last := l.Migrations[len(l.Migrations)-1]
			if err := tool.Down(t.Context(), p, last); err != nil {
				t.Fatal(err)
			}
			if v, err := g.GetDBVersion(t.Context()); err != nil || v != 2 {
				t.Errorf("goose is at version %d, %v", v, err)
			}
			if done, err := g.Up(t.Context()); err != nil || len(done) != 1 {
				t.Errorf("goose applies %v, %v", done, err)
			}
		})
	}
}
