package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/database/databasetest"
	"github.com/shiplock/shiplock/internal/database/postgres"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

func TestConformance(t *testing.T) {
	databasetest.Run(t, databasetest.Suite{
		New:    func(cfg database.Config) (database.Database, error) { return postgres.New(cfg, plugin.Deps{}) },
		Create: create,
		Driver: "pgx",
		Slow:   "SELECT pg_sleep(600)",
		Inside: func(app *sql.DB) bool {
			var n int
			err := app.QueryRow("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(600)' AND state = 'active'").Scan(&n)
			return err == nil && n > 0
		},
		Changes: changes(),
	})
}

// changes are one of every kind of thing a schema holds.
func changes() []databasetest.Change {
	product := []string{
		"CREATE TABLE product (id integer PRIMARY KEY, name varchar(20), price numeric(10,2) DEFAULT 1)",
		"CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
		"CREATE VIEW cheap AS SELECT id FROM product", "CREATE MATERIALIZED VIEW sums AS SELECT sum(price) FROM product",
		"CREATE INDEX by_name ON product (name)", "CREATE SEQUENCE numbers", "CREATE TYPE mood AS ENUM ('calm')",
		"CREATE DOMAIN positive AS integer CHECK (VALUE > 0)", "CREATE TYPE pair AS (a integer, b integer)",
		"CREATE TABLE log (at date) PARTITION BY RANGE (at)",
		"CREATE RULE nothing AS ON DELETE TO log DO INSTEAD NOTHING",
		"CREATE POLICY mine ON product USING (id > 0)", "CREATE PUBLICATION news FOR TABLE product",
		"ALTER TABLE product ADD CONSTRAINT cheap CHECK (price > 0) NOT VALID",
	}
	change := func(name, sql string, kinds ...string) databasetest.Change {
		return databasetest.Change{Name: name, Before: product, SQL: sql, Kinds: kinds}
	}
	return []databasetest.Change{
		change("new table", "CREATE TABLE other (id integer)", "column", "grant", "order", "table"),
		change("new schema", "CREATE SCHEMA other", "grant", "schema"),
		change("storage parameters", "ALTER TABLE product SET (fillfactor = 50)", "table"),
		change("row level security", "ALTER TABLE product ENABLE ROW LEVEL SECURITY", "table"),
		change("replica identity", "ALTER TABLE product REPLICA IDENTITY FULL", "table"),
		change("new column", "ALTER TABLE product ADD COLUMN stock integer", "column", "order"),
		change("order of columns", "ALTER TABLE log ADD COLUMN b integer", "column", "order"),
		change("type", "ALTER TABLE product ALTER name TYPE varchar(30)", "column"),
		change("default", "ALTER TABLE product ALTER price SET DEFAULT 2", "column"),
		change("not null", "ALTER TABLE product ALTER name SET NOT NULL", "column"),
		change("identity", "ALTER TABLE product ALTER id ADD GENERATED ALWAYS AS IDENTITY", "column", "grant", "sequence"),
		change("generated", "ALTER TABLE product ADD COLUMN twice numeric GENERATED ALWAYS AS (price * 2) STORED", "column", "order"),
		change("collation", `ALTER TABLE product ALTER name TYPE varchar(20) COLLATE "C"`, "column"),
		change("constraint", "ALTER TABLE product ADD CONSTRAINT dear CHECK (price < 100)", "constraint"),
		change("validated", "ALTER TABLE product VALIDATE CONSTRAINT cheap", "constraint"),
		change("index", "DROP INDEX by_name", "index"),
		change("view", "CREATE OR REPLACE VIEW cheap AS SELECT id FROM product WHERE id > 1", "view"),
		change("materialized view", "REFRESH MATERIALIZED VIEW sums WITH NO DATA", "materialized view"),
		change("function", "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'", "function"),
		change("function's rights", "REVOKE EXECUTE ON FUNCTION touch() FROM PUBLIC", "grant"),
		change("trigger", "CREATE TRIGGER t BEFORE UPDATE ON product FOR EACH ROW EXECUTE FUNCTION touch()", "trigger"),
		change("policy", "ALTER POLICY mine ON product USING (id > 1)", "policy"),
		change("rule", "DROP RULE nothing ON log", "rule"),
		change("grant", "GRANT SELECT ON product TO PUBLIC", "grant"),
		change("grant of a column", "GRANT UPDATE (name) ON product TO PUBLIC", "grant"),
		change("default rights", "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC", "grant"),
		change("sequence", "ALTER SEQUENCE numbers INCREMENT 5", "sequence"),
		change("owned sequence", "ALTER SEQUENCE numbers OWNED BY product.id", "sequence"),
		change("enum", "ALTER TYPE mood ADD VALUE 'wild'", "enum"),
		change("domain", "ALTER DOMAIN positive SET DEFAULT 1", "domain"),
		change("composite type", "ALTER TYPE pair ADD ATTRIBUTE c text", "type"),
		change("partition", "CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')", "column", "grant", "order", "table"),
		change("statistics", "CREATE STATISTICS pairs ON id, name FROM product", "statistics"),
		change("publication", "ALTER PUBLICATION news ADD TABLE log", "publication"),
		change("event trigger", "CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION e()", "event trigger", "function", "grant"),
		change("extension", "DROP EXTENSION plpgsql CASCADE; CREATE FUNCTION touch() RETURNS integer LANGUAGE sql AS 'SELECT 1'", "extension", "function"),
	}
}

func create(t testing.TB) databasetest.Place {
	url := testneed.Postgres(t)
	return databasetest.Place{URL: url, DSN: url}
}

// open returns a database at url with the suite's settings.
func open(t testing.TB, url string) *postgres.DB {
	t.Helper()
	db, err := postgres.New(database.Config{URL: ship.NewSecret(url), LockTimeout: databasetest.LockTimeout, Key: make([]byte, 32)}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// app is an application's own connection pool.
func app(t testing.TB, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func exec(t testing.TB, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, format string, args ...any,
) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), fmt.Sprintf(format, args...)); err != nil {
		t.Fatalf(format+": %v", append(args, err)...)
	}
}
