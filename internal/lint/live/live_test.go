package live_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/builtin"
	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/lint/live"
	"github.com/shiplock/shiplock/internal/lint/rules"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

// known reads a database, after it was filled by the statements.
func known(t *testing.T, kind, url string) *lint.Snapshot {
	t.Helper()
	db, err := builtin.Databases().Open(kind, database.Config{URL: ship.NewSecret(url)}, plugin.Deps{Log: slog.New(slog.DiscardHandler), DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	s, err := live.Read(t.Context(), db, kind)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// judge classifies one pending migration, with what is known of the database
// and without.
func judge(t *testing.T, s *lint.Snapshot, sql string, applied ...ship.Migration) (with, without ship.Migration) {
	t.Helper()
	l, err := lint.New(rules.All())
	if err != nil {
		t.Fatal(err)
	}
	all := append(slices.Clone(applied), ship.Migration{ID: "9", File: "9.sql", SQL: sql, Atomic: true})
	version, err := lint.ParseVersion(s.Dialect, s.Server)
	if err != nil {
		t.Fatal(err)
	}
	o := lint.Options{Dialect: s.Dialect, Version: version, Schema: s.Schema(), Live: true, Ahead: map[string]bool{"ahead": true}}
	with = l.ClassifyAll(all, o)[len(applied)]
	return with, l.ClassifyAll(all, lint.Options{Dialect: s.Dialect, Version: version})[len(applied)]
}

func TestWhatIsThereDecidesWhatAMigrationBreaks(t *testing.T) {
	url := testneed.Postgres(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	_, err = conn.Exec(t.Context(), `CREATE TABLE product (id integer PRIMARY KEY, name varchar(20) NOT NULL, price numeric, tried text);
		CREATE TABLE big (id integer PRIMARY KEY, name text);
		ALTER TABLE product ADD CONSTRAINT priced CHECK (price IS NOT NULL);
		INSERT INTO product SELECT i, 'x', 1 FROM generate_series(1, 50) i;
		INSERT INTO big SELECT i, 'x' FROM generate_series(1, 50000) i; ANALYZE`)
	if err != nil {
		t.Fatal(err)
	}
	s := known(t, "postgres", url)
	tried := []ship.Migration{
		{ID: "1", File: "1.sql", Applied: true, SQL: "CREATE TABLE product (id integer PRIMARY KEY, name varchar(20) NOT NULL, price numeric);"},
		{ID: "ahead", File: "2.sql", Applied: true, SQL: "ALTER TABLE product ADD COLUMN tried text;"},
	}
	tests := []struct {
		name, sql     string
		applied       []ship.Migration
		with, without ship.Phase
	}{
		{"a wider varchar", "ALTER TABLE product ALTER name TYPE varchar(80);", nil, ship.Expand, ship.Contract},
		{"a narrower one", "ALTER TABLE product ALTER name TYPE varchar(10);", nil, ship.Contract, ship.Contract},
		{"NOT NULL that a CHECK proves", "ALTER TABLE product ALTER price SET NOT NULL;", nil, ship.Expand, ship.Contract},
		{"a column no release has", "ALTER TABLE product DROP COLUMN tried;", tried, ship.Expand, ship.Contract},
		{"a column one has", "ALTER TABLE product DROP COLUMN name;", tried, ship.Contract, ship.Contract},
	}
	for _, tt := range tests {
		with, without := judge(t, s, tt.sql, tt.applied...)
		if with.Phase != tt.with || without.Phase != tt.without {
			t.Errorf("%s: %s with the database at hand and %s without, want %s and %s: %v", tt.name, with.Phase, without.Phase, tt.with, tt.without, with.Findings)
		}
	}
	for table, heavy := range map[string]bool{"product": false, "big": true} {
		with, without := judge(t, s, fmt.Sprintf("CREATE INDEX ON %s (name);", table))
		if len(without.Hazards) == 0 || len(with.Hazards) > 0 != heavy {
			t.Errorf("an index of %s: hazards %q with the database at hand, %q without", table, with.Hazards, without.Hazards)
		}
	}
}

func TestTheRowsOfSmallTablesAreCounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	db, err := builtin.Databases().Open("sqlite", database.Config{URL: ship.NewSecret("sqlite:" + path)}, plugin.Deps{Log: slog.New(slog.DiscardHandler), DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	lock, err := db.Lock(t.Context(), ship.Fence{Run: "test", Epoch: 1}, "test")
	if err != nil {
		t.Fatal(err)
	}
	fill := "INSERT INTO %s WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM n"
	err = lock.Do(t.Context(), ship.Work{Atomic: true, Statements: []string{
		`CREATE TABLE "a ""b" (i integer)`, `CREATE TABLE big (i integer)`, fmt.Sprintf(fill, `"a ""b"`, 7), fmt.Sprintf(fill, "big", 30_000),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := known(t, "sqlite", "sqlite:"+path)
	if n, ok := s.Rows[`a "b`]; !ok || n != 7 {
		t.Errorf("counted %v", s.Rows)
	}
	if n, ok := s.Rows["big"]; ok {
		t.Errorf("a table of 30 000 rows is said to have %d", n)
	}
	if !strings.Contains(s.Server, "3.") {
		t.Errorf("the server is %q", s.Server)
	}
}
