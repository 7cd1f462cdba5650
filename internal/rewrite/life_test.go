package rewrite_test

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/shiplock/shiplock/internal/backfill"
	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/database/postgres"
	"github.com/shiplock/shiplock/internal/database/sqlite"
	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/migrate/migratetest"
	"github.com/shiplock/shiplock/internal/migrate/sqlfiles"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/rewrite"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// statements cuts a text of ours.
func statements(t *testing.T, d sqltext.Dialect, text string) []string {
	t.Helper()
	all, err := sqltext.Split(text, d)
	if err != nil {
		t.Fatal(err)
	}
	sql := make([]string, len(all))
	for i := range all {
		sql[i] = all[i].SQL
	}
	return sql
}

// A world is a database, the files of a rewrite, and those who use it.
type world struct {
	t       *testing.T
	dialect sqltext.Dialect
	db      *migratetest.DB
	tool    *sqlfiles.Tool
	tree    fstest.MapFS
	result  rewrite.Result
	phases  map[string]ship.Phase
	next    int
}

func newWorld(t *testing.T, l life, d sqltext.Dialect, convention string) *world {
	t.Helper()
	w := &world{t: t, dialect: d, tree: fstest.MapFS{"migrations": {Mode: fs.ModeDir | 0o755}}, phases: map[string]ship.Phase{}, next: 100_000}
	w.db = open(t, d)
	w.db.Exec(statements(t, d, l.base)...)
	schema := lint.NewSchema()
	if err := lint.Learn(schema, d, "base", l.base); err != nil {
		t.Fatal(err)
	}
	version := l.server
	if version == 0 {
		version, _ = lint.ParseVersion(d, "")
	}
	var err error
	w.result, err = rewrite.Text(l.dangerous, rewrite.Request{Context: rewrite.Context{Dialect: d, Version: version, Schema: schema}, Fill: l.fill, Name: "whole"})
	if err != nil || len(w.result.Refused) > 0 || w.result.Changed == 0 {
		t.Fatalf("%v, %d changed, refused: %+v", err, w.result.Changed, w.result.Refused)
	}
	if w.tool, err = sqlfiles.New(sqlfiles.Config{Convention: convention}, plugin.Deps{}); err != nil {
		t.Fatal(err)
	}
	w.write()
	return w
}

func open(t *testing.T, d sqltext.Dialect) *migratetest.DB {
	if d == sqltext.SQLite {
		return migratetest.SQLite(t)
	}
	return migratetest.Postgres(t)
}

// write puts the steps into the tree, one behind the other.
func (w *world) write() {
	w.t.Helper()
	var drafts []migrate.Draft
	for _, s := range w.result.Steps {
		d := migrate.Draft{Name: s.Name, Up: s.Up, Down: s.Down, WhyNot: s.WhyNot, Alone: s.Alone}
		if s.Phase != "" {
			d.Header = []string{fmt.Sprintf("shiplock: phase=%s reason=%q", s.Phase, s.Reason)}
		}
		drafts = append(drafts, d)
	}
	files, err := w.tool.Write(w.tree, drafts, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range files {
		w.tree[f.Path] = &fstest.MapFile{Data: []byte(f.Text), Mode: 0o644}
	}
	all, err := w.tool.Files(w.tree)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(all) != len(drafts) {
		w.t.Fatalf("%d migrations are read of %d that were written", len(all), len(drafts))
	}
	for i, s := range w.result.Steps {
		w.phases[all[i].ID] = s.Phase
		if all[i].Declared != s.Phase || all[i].Reversible != (s.WhyNot == "") {
			w.t.Errorf("%s was read as phase %q, reversible %v (%s), and written as %+v", all[i].ID, all[i].Declared, all[i].Reversible, all[i].WhyNot, s)
		}
	}
}

// migrate applies the files of the contract, or those before it, or takes them
// back.
func (w *world) migrate(contract, down bool) {
	w.t.Helper()
	p := migrate.Project{Tree: w.tree, Session: w.db}
	l, err := w.tool.List(w.t.Context(), p)
	if err != nil || len(l.Problems) > 0 {
		w.t.Fatalf("%v, %v", err, l.Problems)
	}
	for i := range l.Migrations {
		do, m := w.tool.Up, l.Migrations[i]
		if down {
			do, m = w.tool.Down, l.Migrations[len(l.Migrations)-1-i]
		}
		if (w.phases[m.ID] == ship.Contract) != contract {
			continue
		}
		if contract && !down {
			w.aside(m)
		}
		if err := do(w.t.Context(), p, m); err != nil {
			w.t.Fatalf("%s (down %v): %v", m.ID, down, err)
		}
		if contract && !down {
			w.settle(m)
		}
	}
}

// release does what a release does.
func (w *world) release(when string, all []string) {
	w.t.Helper()
	for _, s := range all {
		if strings.Contains(s, "%") {
			w.next++
			s = fmt.Sprintf(s, w.next)
		}
		if _, err := w.db.Rows(w.t.Context(), s); err != nil {
			w.t.Fatalf("%s: %s: %v", when, s, err)
		}
	}
}

func (w *world) backfill(old []string) {
	w.t.Helper()
	db := w.database(w.db)
	lock, err := db.Lock(w.t.Context(), ship.Fence{Run: "d-1", Epoch: 1}, "test")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = lock.Release(context.Background()) }()
	for _, b := range w.result.Backfills {
		f, err := backfill.Parse("backfills/"+b.Name+".sql", b.File(), w.dialect)
		if err != nil {
			w.t.Fatalf("%v\n%s", err, b.File())
		}
		out, err := backfill.Run(w.t.Context(), f, backfill.Deps{
			DB: db.(database.Backfiller), Lock: lock.(database.Filler), Fence: ship.Fence{Run: "d-1", Epoch: 1},
			Stop: func(context.Context) (string, string, error) { // is asked before each batch
				w.release("during the backfill", old)
				return "", "", nil
			},
			Tell: func(string, database.Progress) {},
			Record: func(f backfill.File) ship.Record {
				return ship.Record{Migration: f.Name, Checksum: f.Checksum, Tool: "backfill", Phase: ship.Backfill, Status: ship.RecordDone, Run: "d-1", Epoch: 1}
			},
		})
		if err != nil || out.Status != database.FillDone || !strings.Contains(out.Text, "verified: no row is left") {
			w.t.Fatalf("backfill ended with %+v, %v", out, err)
		}
	}
}

func (w *world) database(db *migratetest.DB) database.Database {
	w.t.Helper()
	return openSeam(w.t, w.dialect, db)
}

func openSeam(t *testing.T, d sqltext.Dialect, db *migratetest.DB) (out database.Database) {
	t.Helper()
	var err error
	if d == sqltext.SQLite {
		out, err = sqlite.New(database.Config{URL: ship.NewSecret("sqlite:" + db.URL), LockTimeout: 2 * time.Second}, plugin.Deps{})
	} else {
		out, err = postgres.New(database.Config{URL: ship.NewSecret(db.URL), LockTimeout: 2 * time.Second}, plugin.Deps{})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	return out
}

// schema is what the catalog shows, without the order of columns, and without
// what tools and we keep there.
func schema(t *testing.T, d sqltext.Dialect, db *migratetest.DB) *database.Catalog {
	t.Helper()
	c, err := openSeam(t, d, db).Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := &database.Catalog{}
	for _, o := range c.Objects {
		own := false
		for _, name := range []string{"migratetest_ledger", "goose_db_version", "schema_migrations", "flyway_schema_history"} {
			own = own || strings.Contains(o.Name, name)
		}
		if inner, ok := strings.CutPrefix(o.Text, "CREATE TABLE "); ok { // SQLite has the order of columns in the text
			columns := strings.Split(inner[strings.Index(inner, "(")+2:len(inner)-2], " , ")
			slices.Sort(columns)
			o.Text = strings.Join(columns, ", ")
		}
		if !own && o.Kind != "order" {
			out.Objects = append(out.Objects, o)
		}
	}
	return out
}

func (w *world) same(when string, want *database.Catalog) {
	w.t.Helper()
	for _, d := range database.Diff(want, schema(w.t, w.dialect, w.db)) {
		w.t.Errorf("%s, %s %s is %q instead of %q", when, d.Kind, d.Name, d.After, d.Before)
	}
}

func TestEveryRewriteLivesThroughExpandUndoExpandBackfillContractAndUndropAndEndsWhereTheDangerousStatementWould(t *testing.T) {
	for _, l := range lives() {
		t.Run(l.name, func(t *testing.T) { live(t, l, sqltext.Postgres, "goose") })
	}
}

func TestARewriteIsTheSameInEveryConvention(t *testing.T) {
	for _, convention := range []string{"golang-migrate", "dbmate", "flyway"} {
		for _, l := range lives() {
			if strings.HasPrefix(l.name, "a column renamed, with a default") || l.name == "UNIQUE" {
				t.Run(convention+" "+l.name, func(t *testing.T) { live(t, l, sqltext.Postgres, convention) })
			}
		}
	}
}

func live(t *testing.T, l life, d sqltext.Dialect, convention string) {
	reference := open(t, d)
	reference.Exec(statements(t, d, l.base)...)
	before := schema(t, d, reference)
	if reference.Exec(statements(t, d, l.mended)...); !strings.HasSuffix(l.mended, "--") {
		reference.Exec(statements(t, d, l.dangerous)...)
	}
	want := schema(t, d, reference)

	w := newWorld(t, l, d, convention)
	w.same("at the beginning", before)
	w.release("before all", l.old)
	w.migrate(false, false)
	w.release("after expand", l.old)
	w.migrate(false, true)
	w.same("after expand was taken back", before)
	w.release("after expand was taken back", l.old)
	w.migrate(false, false)
	w.release("after expand", l.old)
	w.backfill(l.old)
	w.release("after the backfill", append(l.old, l.new...))
	kept := w.values(l.drops)
	w.migrate(true, false)
	w.same("after contract", want)
	w.release("after contract", l.new)
	w.undrop(l.drops, kept)
	w.same("after what came back was dropped again", want)
	if l.oneWay {
		return
	}
	w.migrate(true, true)
	w.release("after contract was taken back", append(l.old, l.new...))
	w.migrate(false, true)
	w.same("after all was taken back", before)
}

func TestAColumnOfSQLiteIsRenamedWhileBothNamesWork(t *testing.T) {
	live(t, life{
		base:      "CREATE TABLE orders (id integer PRIMARY KEY, total integer, note text); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) INSERT INTO orders SELECT i, i, 'x' FROM n",
		dangerous: "ALTER TABLE orders RENAME COLUMN total TO amount",
		old:       []string{"INSERT INTO orders (id, total) VALUES (%d, 3)", "INSERT INTO orders (id) VALUES (%d)", "UPDATE orders SET total = total + 1 WHERE id = 7", "UPDATE orders SET total = NULL WHERE id = 8", "SELECT total FROM orders"},
		new:       []string{"INSERT INTO orders (id, amount) VALUES (%d, 3)", "UPDATE orders SET amount = amount + 2 WHERE id = 11", "UPDATE orders SET amount = NULL WHERE id = 12"},
		drops:     []string{"orders.total"},
	}, sqltext.SQLite, "goose")
}

func TestWhatGoesInSQLiteIsAContractAndComesBack(t *testing.T) {
	live(t, life{
		base:      "CREATE TABLE customers (id integer PRIMARY KEY, name text); CREATE TABLE orders (id integer PRIMARY KEY, total integer, note text DEFAULT 'none'); INSERT INTO customers VALUES (1, 'ann'), (2, 'bob'); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) INSERT INTO orders SELECT i, i, 'x' || i FROM n",
		dangerous: "ALTER TABLE orders RENAME COLUMN total TO amount; ALTER TABLE orders DROP COLUMN note; DROP TABLE customers",
		old:       []string{"INSERT INTO orders (id, total, note) VALUES (%d, 3, 'y')", "UPDATE orders SET total = total + 1, note = NULL WHERE id = 7", "INSERT INTO customers VALUES (%d, 'eve')"},
		new:       []string{"INSERT INTO orders (id, amount) VALUES (%d, 3)", "UPDATE orders SET amount = amount + 2 WHERE id = 11"},
		drops:     []string{"customers", "orders.note", "orders.total"}, oneWay: true,
	}, sqltext.SQLite, "goose")
}
