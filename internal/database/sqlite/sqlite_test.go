package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/database/databasetest"
	"github.com/shiplock/shiplock/internal/database/sqlite"
	"github.com/shiplock/shiplock/internal/plugin"
)

func TestConformance(t *testing.T) {
	for _, mode := range []string{"delete", "wal"} {
		t.Run(mode, func(t *testing.T) { databasetest.Run(t, suite(mode)) })
	}
}

func suite(mode string) databasetest.Suite {
	product := []string{
		"CREATE TABLE product (id integer PRIMARY KEY, name text, price integer DEFAULT 1)",
		"CREATE INDEX by_name ON product (name)", "CREATE VIEW cheap AS SELECT id FROM product",
		"CREATE TABLE sale (id integer, product integer)",
	}
	change := func(name, sql string, kinds ...string) databasetest.Change {
		return databasetest.Change{Name: name, Before: product, SQL: sql, Kinds: kinds}
	}
	return databasetest.Suite{
		New:    func(cfg database.Config) (database.Database, error) { return sqlite.New(cfg, plugin.Deps{}) },
		Create: func(t testing.TB) databasetest.Place { return create(t, mode) },
		Driver: "sqlite",
		Slow:   "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1000000000000) SELECT count(*) FROM c",
		Inside: func(app *sql.DB) bool {
			_, err := app.Exec("PRAGMA busy_timeout = 0; BEGIN IMMEDIATE; ROLLBACK")
			return err != nil && strings.Contains(err.Error(), "locked")
		},
		Changes: []databasetest.Change{
			change("new table", "CREATE TABLE other (id integer)", "column", "order", "table"),
			change("new column", "ALTER TABLE product ADD COLUMN stock integer", "column", "order", "table"),
			change("dropped column", "ALTER TABLE product DROP COLUMN price", "column", "order", "table"),
			change("not null", "ALTER TABLE product ALTER COLUMN name SET NOT NULL", "column", "table"),
			change("index", "DROP INDEX by_name", "index"),
			change("unique index", "DROP INDEX by_name; CREATE UNIQUE INDEX by_name ON product (name)", "index"),
			change("view", "DROP VIEW cheap; CREATE VIEW cheap AS SELECT name FROM product", "view"),
			change("trigger", "CREATE TRIGGER t AFTER INSERT ON product BEGIN SELECT 1; END", "trigger"),
			change("foreign key", "DROP TABLE sale; CREATE TABLE sale (id integer, product integer REFERENCES product)", "constraint", "table"),
			change("unique", "DROP TABLE sale; CREATE TABLE sale (id integer, product integer UNIQUE)", "constraint", "table"),
			change("primary key", "DROP TABLE sale; CREATE TABLE sale (id integer PRIMARY KEY, product integer)", "column", "table"),
			change("generated", "DROP TABLE sale; CREATE TABLE sale (id integer, product integer AS (id))", "column", "table"),
			change("nothing", `CREATE TABLE "new" (id  integer, product integer); DROP TABLE sale; ALTER TABLE "new" RENAME TO "sale"`),
		},
	}
}

// create makes a database in a folder whose name would mean something in a URI.
func create(t testing.TB, mode string) databasetest.Place {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a b?c#d%41")
	mkdir(t, dir)
	dsn := "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(filepath.Join(dir, "shop.db")) +
		"?_pragma=journal_mode(" + mode + ")&_pragma=busy_timeout(2000)"
	return databasetest.Place{URL: "sqlite:///shop.db", Dir: dir, DSN: dsn}
}
