package sqlite_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/database/sqlite"
	"github.com/shiplock/shiplock/internal/ship"
)

// shop is a schema with most of what SQLite has.
const shop = `
CREATE TABLE customer (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, mail TEXT COLLATE NOCASE NOT NULL UNIQUE DEFAULT ('none' || abs(random())), -- where to
	note TEXT, stock INT NOT NULL DEFAULT 7, CHECK (stock >= 0 OR note IS NULL));
CREATE INDEX by_note ON customer (note, name);
CREATE INDEX by_name ON customer (name);
CREATE TRIGGER touched AFTER UPDATE OF name ON customer BEGIN SELECT 1; END;
CREATE TABLE sale (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customer (id), amount INT);
CREATE VIEW names AS SELECT name FROM customer;
INSERT INTO customer (name, mail, note, stock) VALUES ('ann', 'a@x', 'likes tea', 1), ('bob', 'b@x', NULL, 2), ('eve', 'e@x', x'00ff', 3);
INSERT INTO sale (customer, amount) VALUES (1, 10), (2, 20);`

func drop(table, column string) ship.Drop {
	return ship.Drop{Migration: "0002", Table: table, Column: column, Until: time.Now().Add(time.Hour), MaxSize: 1 << 20}
}

// dropped carries out a migration that drops what is copied aside first.
func dropped(t *testing.T, l database.Lock, d ship.Drop, statements ...string) {
	t.Helper()
	w := ship.Work{Atomic: true, Statements: statements, Aside: []ship.Drop{d}, Record: []ship.Record{{Migration: d.Migration, Status: ship.RecordDone, Phase: ship.Contract}}}
	if err := l.Do(t.Context(), w); err != nil {
		t.Fatal(err)
	}
}

func undrop(t *testing.T, db *sqlite.DB, l database.Lock, record *ship.Record) (database.Trashed, error) {
	t.Helper()
	all, err := db.Trash(t.Context())
	if err != nil || len(all) == 0 {
		t.Fatalf("the trash is %v, %v", all, err)
	}
	return l.(database.Undropper).Undrop(t.Context(), all[len(all)-1].ID, "ann", record, func(string) {})
}

func opened(t *testing.T) (*sqlite.DB, *sql.DB, database.Lock) {
	t.Helper()
	place := create(t, "wal")
	app := app(t, place)
	run(t, app, shop)
	db := open(t, place)
	return db, app, lock(t, db, first)
}

func catalog(t *testing.T, db *sqlite.DB) []database.Object {
	t.Helper()
	c, err := db.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c.Objects
}

func TestEveryKindOfColumnComesBackAsItWas(t *testing.T) {
	for column, statements := range map[string][]string{
		"note":   {"DROP INDEX by_note", rebuilt("id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, mail TEXT COLLATE NOCASE NOT NULL UNIQUE DEFAULT ('none' || abs(random())), stock INT NOT NULL DEFAULT 7", "id, name, mail, stock")},
		"mail":   {rebuilt("id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, note TEXT, stock INT NOT NULL DEFAULT 7, CHECK (stock >= 0 OR note IS NULL)", "id, name, note, stock"), "CREATE INDEX by_note ON customer (note, name)"},
		"stock":  {rebuilt("id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, mail TEXT COLLATE NOCASE NOT NULL UNIQUE DEFAULT ('none' || abs(random())), note TEXT", "id, name, mail, note"), "CREATE INDEX by_note ON customer (note, name)"},
		"amount": {"ALTER TABLE sale DROP COLUMN amount"},
	} {
		t.Run(column, func(t *testing.T) {
			db, app, l := opened(t)
			before, rows := catalog(t, db), dump(t, app)
			table := "customer"
			if column == "amount" {
				table = "sale"
			} else {
				statements = append(statements, "CREATE INDEX by_name ON customer (name)", "CREATE TRIGGER touched AFTER UPDATE OF name ON customer BEGIN SELECT 1; END")
			}
			dropped(t, l, drop(table, column), statements...)
			back, err := undrop(t, db, l, nil)
			if err != nil || len(back.Notes) > 0 {
				t.Fatalf("undrop: %v, %q", err, back.Notes)
			}
			if diff := cmp.Diff(database.Diff(&database.Catalog{Objects: before}, &database.Catalog{Objects: catalog(t, db)}), []database.Difference(nil)); diff != "" {
				t.Errorf("the schema is not what it was: %s", diff)
			}
			if diff := cmp.Diff(rows, dump(t, app)); diff != "" {
				t.Errorf("the rows are not what they were: %s", diff)
			}
			run(t, app, "INSERT INTO customer (name) VALUES ('new')")
			if got := scalar(t, app, "SELECT id FROM customer WHERE name = 'new'"); got != "4" {
				t.Errorf("the next number is %s, want 4", got)
			}
		})
	}
}

// rebuilt is a table made anew with other columns, as one statement each.
func rebuilt(columns, names string) string {
	return "PRAGMA legacy_alter_table = ON; CREATE TABLE new (" + columns + "); INSERT INTO new (" + names + ") SELECT " + names + " FROM customer; DROP TABLE customer; ALTER TABLE new RENAME TO customer"
}

func TestRowsWrittenSinceKeepTheirValuesAndGetTheDefault(t *testing.T) {
	db, app, l := opened(t)
	dropped(t, l, drop("sale", "amount"), "ALTER TABLE sale DROP COLUMN amount")
	run(t, app, "INSERT INTO sale (id, customer) VALUES (9, 3); UPDATE sale SET customer = 2 WHERE id = 1; DELETE FROM sale WHERE id = 2")
	if _, err := undrop(t, db, l, nil); err != nil {
		t.Fatal(err)
	}
	if got := list(t, app, "SELECT id || ' ' || customer || ' ' || coalesce(amount, 'NULL') FROM sale ORDER BY id"); got != "1 2 10, 9 3 NULL" {
		t.Errorf("rows: %s", got)
	}
}

func TestANotNullColumnWithoutADefaultComesBackNullableAndSaysSo(t *testing.T) {
	db, app, l := opened(t)
	run(t, app, "CREATE TABLE part (id INTEGER PRIMARY KEY, code TEXT NOT NULL CHECK (code <> '')); INSERT INTO part VALUES (1, 'x')")
	dropped(t, l, drop("part", "code"), "ALTER TABLE part DROP COLUMN code")
	run(t, app, "INSERT INTO part VALUES (2)")
	back, err := undrop(t, db, l, nil)
	if err != nil || len(back.Notes) != 1 || !strings.Contains(back.Notes[0], "1 rows written since") {
		t.Fatalf("undrop: %v, %q", err, back.Notes)
	}
	if got := list(t, app, "SELECT id || coalesce(code, 'NULL') FROM part ORDER BY id"); got != "1x, 2NULL" {
		t.Errorf("rows: %s", got)
	}
}

func TestATableComesBackWhole(t *testing.T) {
	db, app, l := opened(t)
	before, rows := catalog(t, db), dump(t, app)
	dropped(t, l, drop("customer", ""), "DROP VIEW names", "DELETE FROM sale", "DROP TABLE customer")
	run(t, app, "CREATE VIEW names AS SELECT name FROM customer")
	run(t, app, "PRAGMA foreign_keys = OFF; INSERT INTO sale VALUES (1, 1, 10), (2, 2, 20)")
	record := &ship.Record{Migration: "0002", Status: ship.RecordDone, Phase: ship.Expand}
	if _, err := undrop(t, db, l, record); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, catalog(t, db)); diff != "" {
		t.Errorf("the schema is not what it was: %s", diff)
	}
	if diff := cmp.Diff(rows, dump(t, app)); diff != "" {
		t.Errorf("the rows are not what they were: %s", diff)
	}
	ledger, err := db.Ledger(t.Context())
	if err != nil || len(ledger) != 1 || ledger[0].Phase != ship.Expand {
		t.Errorf("ledger: %+v, %v", ledger, err)
	}
	if _, err := undrop(t, db, l, nil); ship.KindOf(err) != ship.Refused {
		t.Errorf("a second time: %v, want a refusal", err)
	}
}

func TestUndropIsRefusedWhereItWouldDoHarm(t *testing.T) {
	for name, c := range map[string]struct{ since, says string }{
		"the column is there again": {"ALTER TABLE sale ADD COLUMN amount TEXT", "there is a sale.amount again"},
		"the table is gone":         {"DROP TABLE sale", "there is no table sale"},
		"another key":               {"DROP TABLE sale; CREATE TABLE sale (no INTEGER PRIMARY KEY)", "the primary key of sale is (no), and was (id)"},
	} {
		t.Run(name, func(t *testing.T) {
			db, app, l := opened(t)
			dropped(t, l, drop("sale", "amount"), "ALTER TABLE sale DROP COLUMN amount")
			run(t, app, c.since)
			before := catalog(t, db)
			if _, err := undrop(t, db, l, nil); ship.KindOf(err) != ship.Refused || !strings.Contains(err.Error(), c.says) {
				t.Errorf("undrop: %v, want %q", err, c.says)
			}
			if diff := cmp.Diff(before, catalog(t, db)); diff != "" {
				t.Errorf("it changed something: %s", diff)
			}
		})
	}
}

func TestNothingIsDroppedThatCouldNotBeBroughtBack(t *testing.T) {
	db, app, l := opened(t)
	run(t, app, "CREATE TABLE plain (a INT, b TEXT); INSERT INTO plain VALUES (1, 'x')")
	large := drop("customer", "")
	large.MaxSize = 10
	for _, d := range []ship.Drop{drop("plain", "a"), drop("customer", "id"), large} {
		if err := db.CheckDrop(t.Context(), d); ship.KindOf(err) != ship.Refused {
			t.Errorf("CheckDrop %s.%s: %v, want a refusal", d.Table, d.Column, err)
		}
		err := l.Do(t.Context(), ship.Work{Atomic: true, Statements: []string{"DROP TABLE " + d.Table}, Aside: []ship.Drop{d}})
		if ship.KindOf(err) != ship.Refused {
			t.Errorf("dropping %s.%s: %v, want a refusal", d.Table, d.Column, err)
		}
	}
	for _, d := range []ship.Drop{drop("plain", ""), drop("none", ""), drop("customer", "none"), drop("sale", "amount")} {
		if err := db.CheckDrop(t.Context(), d); err != nil {
			t.Errorf("CheckDrop %s.%s: %v", d.Table, d.Column, err)
		}
	}
	if all, err := db.Trash(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("the trash holds %v, %v", all, err)
	}
}

func TestACopyThatWasNotDroppedIsMadeOnceAndForgotten(t *testing.T) {
	db, _, l := opened(t)
	only := ship.Work{Atomic: true, Aside: []ship.Drop{drop("sale", "amount")}}
	for range 3 { // a tool that fails before it drops anything, or is killed
		if err := l.Do(t.Context(), only); err != nil {
			t.Fatal(err)
		}
	}
	all, err := db.Trash(t.Context())
	if err != nil || len(all) != 1 || all[0].Status != database.TrashCopied || all[0].Rows != 2 {
		t.Fatalf("the trash holds %+v, %v; want one copy of 2 rows", all, err)
	}
	if _, err := undrop(t, db, l, nil); ship.KindOf(err) != ship.Refused {
		t.Errorf("undrop of what was not dropped: %v", err)
	}
	failed := only
	failed.Statements = []string{"ALTER TABLE sale DROP COLUMN amount", "no SQL"}
	if err := l.Do(t.Context(), failed); err == nil || errors.Is(err, database.ErrBusy) {
		t.Errorf("a migration that fails: %v", err)
	}
	if err := l.Do(t.Context(), ship.Work{Atomic: true, Forget: []string{"0002"}}); err != nil {
		t.Fatal(err)
	}
	if all, err := db.Trash(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("the trash holds %+v, %v", all, err)
	}
}

func TestPurgeDeletesTheCopyForGood(t *testing.T) {
	db, app, l := opened(t)
	dropped(t, l, drop("sale", "amount"), "ALTER TABLE sale DROP COLUMN amount")
	all, err := db.Trash(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("the trash holds %+v, %v", all, err)
	}
	if err := l.(database.Undropper).Purge(t.Context(), []int64{all[0].ID}); err != nil {
		t.Fatal(err)
	}
	if got := scalar(t, app, `SELECT count(*) FROM sqlite_schema WHERE name LIKE '\_shiplock\_trash\__%' ESCAPE '\'`); got != "0" {
		t.Errorf("%s copies are left", got)
	}
}

// dump is every row of the shop.
func dump(t *testing.T, app *sql.DB) string {
	t.Helper()
	return list(t, app, "SELECT id || '|' || name || '|' || mail || '|' || quote(note) || '|' || stock FROM customer ORDER BY id") + "; " +
		list(t, app, "SELECT id || '|' || customer || '|' || amount FROM sale ORDER BY id")
}

func list(t *testing.T, app *sql.DB, query string) string {
	t.Helper()
	rows, err := app.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, ", ")
}

func TestACopyStaysWhenAnotherTakesTheNameOfWhatWasDropped(t *testing.T) {
	for _, c := range []struct {
		d    ship.Drop
		up   []string
		kept string
	}{
		{drop("sale", "amount"), []string{"ALTER TABLE sale ADD COLUMN other TEXT", "UPDATE sale SET other = 'about ' || amount", "ALTER TABLE sale DROP COLUMN amount", "ALTER TABLE sale RENAME COLUMN other TO amount"}, "sale.amount"},
		{drop("sale", ""), []string{"DROP TABLE sale", "CREATE TABLE sale (id INTEGER PRIMARY KEY, customer INTEGER, amount INT)"}, "sale"},
		{drop("sale", ""), []string{"DROP TABLE sale", "CREATE TABLE sale (id INTEGER PRIMARY KEY, total INT)"}, "sale"},
		{drop("sale", "amount"), nil, ""}, // it was not dropped after all
		{drop("sale", ""), nil, ""},
	} {
		db, _, l := opened(t)
		dropped(t, l, c.d, c.up...)
		all, err := db.Trash(t.Context())
		switch {
		case err != nil:
			t.Fatal(err)
		case c.kept == "" && len(all) > 0:
			t.Errorf("%q: the trash holds %+v", c.up, all)
		case c.kept == "":
		case len(all) != 1 || all[0].Name() != c.kept || all[0].Status != database.TrashDropped || all[0].Rows != 2:
			t.Errorf("%q: the trash holds %+v, want %s", c.up, all, c.kept)
		}
	}
}
