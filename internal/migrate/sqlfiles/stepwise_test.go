package sqlfiles_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/migrate/migratetest"
	"github.com/shiplock/shiplock/internal/migrate/sqlfiles"
	"github.com/shiplock/shiplock/internal/ship"
)

const concurrent = `-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE item (id int, name text);
CREATE INDEX CONCURRENTLY item_name ON item (name);
INSERT INTO item VALUES (1, 'a');
VACUUM item;
DROP INDEX CONCURRENTLY item_name;
CREATE UNIQUE INDEX CONCURRENTLY item_id ON item (id);
-- +goose Down
DROP INDEX CONCURRENTLY item_id;
DROP TABLE item;
`

var errKilled = errors.New("killed")

// dying is a session whose process dies at the nth Do: before it, within a
// statement outside a transaction after its effect, or after it.
type dying struct {
	migrate.Session
	at, n int
	how   string
}

func (d *dying) Do(ctx context.Context, w ship.Work) error {
	d.n++
	switch {
	case d.n < d.at:
		return d.Session.Do(ctx, w)
	case d.n > d.at || d.how == "before":
		return errKilled
	case d.how == "within" && !w.Atomic:
		w.Record = nil
	}
	if err := d.Session.Do(ctx, w); err != nil {
		return err
	}
	return errKilled
}

// Whatever moment the process dies at, Observe says that it can go on, Up does
// so, and what is done is done once. The same goes for Down.
func TestAMigrationThatIsNotAtomicGoesOnWhereItWasKilled(t *testing.T) {
	tree := fstest.MapFS{}
	put(tree, "00001_item.sql", concurrent)
	for _, how := range []string{"before", "within", "after"} {
		for at := 1; at <= 8; at++ {
			t.Run(fmt.Sprintf("%s the change %d", how, at), func(t *testing.T) {
				db := migratetest.Postgres(t)
				tool, p := tool(t, sqlfiles.Config{}), migrate.Project{Tree: tree, Session: db}
				m := list(t, tool, p).Migrations[0]
				if m.Atomic {
					t.Fatal("it is called atomic")
				}
				last := killed(t, p, at, how, func(p migrate.Project) error { return tool.Up(t.Context(), p, m) })
				if !last {
					if state, err := tool.Observe(t.Context(), p, m); err != nil || state == migrate.StateUnknown {
						t.Fatalf("observed as %s, %v", state, err)
					}
				}
				if err := tool.Up(t.Context(), p, m); err != nil {
					t.Fatal(err)
				}
				rows, err := db.Rows(t.Context(), "SELECT count(*), (SELECT string_agg(indexrelid::regclass::text, ' ') FROM pg_index WHERE indrelid = 'item'::regclass AND indisvalid) FROM item")
				if err != nil || rows[0][0] != "1" || rows[0][1] != "item_id" {
					t.Errorf("rows and indexes are %v, %v", rows, err)
				}
				killed(t, p, at, how, func(p migrate.Project) error { return tool.Down(t.Context(), p, m) })
				if state, err := tool.Observe(t.Context(), p, m); err != nil || state == migrate.StateUnknown {
					t.Fatalf("on its way down it is observed as %s, %v", state, err)
				}
				if err := tool.Down(t.Context(), p, m); err != nil {
					t.Fatal(err)
				}
				if l := list(t, tool, p); slices.Contains(db.Tables(), "item") || l.Migrations[0].Applied {
					t.Errorf("it is still there: %v, %+v", db.Tables(), l)
				}
			})
		}
	}
}

// killed runs change with a session that dies, and tells whether change came
// to its end before.
func killed(t *testing.T, p migrate.Project, at int, how string, change func(migrate.Project) error) bool {
	t.Helper()
	p.Session = &dying{Session: p.Session, at: at, how: how}
	err := change(p)
	if err != nil && !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	return err == nil
}

func TestWhatCannotBeToldFromTheSchemaIsUnknown(t *testing.T) {
	db, tree := migratetest.Postgres(t), fstest.MapFS{}
	put(tree, "00001_fill.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE item (id int);\nDO $$ BEGIN INSERT INTO item VALUES (1); COMMIT; END $$;\n")
	tool, p := tool(t, sqlfiles.Config{}), migrate.Project{Tree: tree, Session: db}
	m := list(t, tool, p).Migrations[0]
	if !killed(t, p, 99, "before", func(p migrate.Project) error { return nil }) {
		t.Fatal("nothing was to be killed")
	}
	killed(t, p, 3, "within", func(p migrate.Project) error { return tool.Up(t.Context(), p, m) })
	if state, err := tool.Observe(t.Context(), p, m); err != nil || state != migrate.StateUnknown {
		t.Errorf("observed as %s, %v", state, err)
	}
	err := tool.Up(t.Context(), p, m)
	if ship.KindOf(err) != ship.MigrationFailed || !strings.Contains(err.Error(), "line 4: nobody saw how") {
		t.Errorf("going on all the same: %v", err)
	}
	rows, err := db.Rows(t.Context(), "SELECT count(*) FROM item")
	if err != nil || rows[0][0] != "1" {
		t.Errorf("it was done again: %v, %v", rows, err)
	}
}

func TestAnIndexLeftInvalidIsBuiltAnew(t *testing.T) {
	db, tree := migratetest.Postgres(t), fstest.MapFS{}
	put(tree, "00001_item.sql", "-- +goose Up\nCREATE TABLE item (id int);\nINSERT INTO item VALUES (1), (1);\n")
	put(tree, "00002_unique.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS item_id ON item (id);\n")
	tool, p := tool(t, sqlfiles.Config{}), migrate.Project{Tree: tree, Session: db}
	all := list(t, tool, p).Migrations
	if err := tool.Up(t.Context(), p, all[0]); err != nil {
		t.Fatal(err)
	}
	err := tool.Up(t.Context(), p, all[1])
	if err == nil || !strings.Contains(err.Error(), "migrations/00002_unique.sql, line 3, `CREATE UNIQUE INDEX CONCURRENTLY") || !strings.Contains(err.Error(), "0 of its 1 statements are done") {
		t.Fatalf("building it over equal rows: %v", err)
	}
	if ship.HintOf(err) == "" {
		t.Error("there is no hint")
	}
	db.Exec("DELETE FROM item")
	if err := tool.Up(t.Context(), p, all[1]); err != nil {
		t.Fatal(err)
	}
	rows, err := db.Rows(t.Context(), "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('item_id') AND indisvalid")
	if err != nil || rows[0][0] != "1" {
		t.Errorf("valid indexes: %v, %v", rows, err)
	}
}

// What failed outside a transaction left something behind that the next attempt
// clears away, or brings to its end.
func TestWhatAFailureLeavesIsClearedAway(t *testing.T) {
	for _, c := range []struct{ name, before, statement, hinder, mend, want string }{
		{
			"an index without a name", "CREATE TABLE item (id int); INSERT INTO item VALUES (1), (1);", "CREATE UNIQUE INDEX CONCURRENTLY ON item (id);", "", "DELETE FROM item",
			"item_id_idx true",
		},
		{
			"the copy of an index", "CREATE TABLE item (id int); CREATE UNIQUE INDEX item_id ON item (id); INSERT INTO item VALUES (1);", "REINDEX INDEX CONCURRENTLY item_id;",
			"CREATE UNIQUE INDEX CONCURRENTLY item_id_ccnew ON item ((id / 0))", "SELECT 1", "item_id true",
		},
		{
			"half a partition",
			"CREATE TABLE item (id int) PARTITION BY LIST (id); CREATE TABLE item_1 PARTITION OF item FOR VALUES IN (1);", "ALTER TABLE item DETACH PARTITION item_1 CONCURRENTLY;",
			"UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 'item_1'::regclass", "SELECT 1", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, tree := migratetest.Postgres(t), fstest.MapFS{}
			put(tree, "00001_before.sql", "-- +goose Up\n"+c.before+"\n")
			put(tree, "00002_after.sql", "-- +goose NO TRANSACTION\n-- +goose Up\n"+c.statement+"\n")
			tool, p := tool(t, sqlfiles.Config{}), migrate.Project{Tree: tree, Session: db}
			all := list(t, tool, p).Migrations
			if err := tool.Up(t.Context(), p, all[0]); err != nil {
				t.Fatal(err)
			}
			if c.hinder == "" {
				if err := tool.Up(t.Context(), p, all[1]); err == nil {
					t.Fatal("it did not fail")
				}
			} else { // what a crash leaves, at the moment it hurts
				killed(t, p, 2, "before", func(p migrate.Project) error { return tool.Up(t.Context(), p, all[1]) })
				if _, err := db.Pool().ExecContext(t.Context(), c.hinder); err != nil && !strings.Contains(err.Error(), "division by zero") {
					t.Fatal(err)
				}
			}
			db.Exec(c.mend)
			if state, err := tool.Observe(t.Context(), p, all[1]); err != nil || state != migrate.StateNotApplied {
				t.Fatalf("observed as %s, %v", state, err)
			}
			if err := tool.Up(t.Context(), p, all[1]); err != nil {
				t.Fatal(err)
			}
			rows, err := db.Rows(t.Context(), "SELECT coalesce(string_agg(c.relname || ' ' || i.indisvalid, ', '), '') FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = 'item'::regclass")
			if err != nil || rows[0][0] != c.want {
				t.Errorf("indexes are %q, want %q (%v)", rows, c.want, err)
			}
			if rows, err := db.Rows(t.Context(), "SELECT count(*) FROM pg_inherits"); err != nil || rows[0][0] != "0" {
				t.Errorf("partitions are %v, %v", rows, err)
			}
		})
	}
}

// A way down that does not fit what is there of a migration changes nothing of
// how far that came: it goes on where it failed, and is not taken for applied.
func TestAMigrationWhoseWayDownFailsGoesOnWhereItFailed(t *testing.T) {
	db, tree := migratetest.Postgres(t), fstest.MapFS{}
	db.Exec("CREATE TABLE item (id int)", "INSERT INTO item VALUES (1), (1)")
	put(tree, "00001_unique.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nALTER TABLE item ADD a int;\nCREATE UNIQUE INDEX CONCURRENTLY item_id ON item (id);\nALTER TABLE item ADD b int;\n"+
		"-- +goose Down\nALTER TABLE item DROP COLUMN b;\nDROP INDEX CONCURRENTLY item_id;\nALTER TABLE item DROP COLUMN a;\n")
	tool, p := tool(t, sqlfiles.Config{}), migrate.Project{Tree: tree, Session: db}
	m := list(t, tool, p).Migrations[0]
	if err := tool.Up(t.Context(), p, m); err == nil {
		t.Fatal("an index over equal rows was built")
	}
	if err := tool.Down(t.Context(), p, m); err == nil || !strings.Contains(err.Error(), "`ALTER TABLE item DROP COLUMN b`") {
		t.Fatalf("taking it back: %v", err)
	}
	if state, err := tool.Observe(t.Context(), p, m); err != nil || state != migrate.StateNotApplied || list(t, tool, p).Migrations[0].Applied {
		t.Errorf("observed as %s, %v", state, err)
	}
	db.Exec("DELETE FROM item")
	if err := tool.Up(t.Context(), p, m); err != nil {
		t.Fatal(err)
	}
	rows, err := db.Rows(t.Context(), "SELECT count(a) + count(b), (SELECT count(*) FROM pg_index WHERE indexrelid = 'item_id'::regclass AND indisvalid) FROM item")
	if err != nil || rows[0][1] != "1" || !list(t, tool, p).Migrations[0].Applied {
		t.Errorf("valid indexes: %v, %v", rows, err)
	}
}

func TestAWayDownGoesOnWhenWhatItDropsIsGone(t *testing.T) {
	db, tree := migratetest.Postgres(t), fstest.MapFS{}
	put(tree, "00001_item.sql", concurrent)
	tool, p := tool(t, sqlfiles.Config{}), migrate.Project{Tree: tree, Session: db}
	m := list(t, tool, p).Migrations[0]
	if err := tool.Up(t.Context(), p, m); err != nil {
		t.Fatal(err)
	}
	db.Exec("DROP INDEX item_id")
	if err := tool.Down(t.Context(), p, m); err == nil {
		t.Fatal("an index that is not there was dropped")
	}
	if err := tool.Down(t.Context(), p, m); err != nil || list(t, tool, p).Migrations[0].Applied || slices.Contains(db.Tables(), "item") {
		t.Errorf("once more: %v, tables %v", err, db.Tables())
	}
}

func TestAnInvalidIndexOfSomebodyElseIsNotTakenForDone(t *testing.T) {
	db, tree := migratetest.Postgres(t), fstest.MapFS{}
	db.Exec("CREATE TABLE item (id int)", "INSERT INTO item VALUES (1), (1)")
	_, err := db.Pool().ExecContext(t.Context(), "CREATE UNIQUE INDEX CONCURRENTLY item_id ON item (id)")
	if err == nil {
		t.Fatal("the index was built")
	}
	put(tree, "00001_unique.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS item_id ON item (id);\n")
	tool, p := tool(t, sqlfiles.Config{}), migrate.Project{Tree: tree, Session: db}
	m := list(t, tool, p).Migrations[0]
	if err := tool.Up(t.Context(), p, m); err == nil || !strings.Contains(err.Error(), "not valid") {
		t.Errorf("an index that is not valid is good enough: %v", err)
	}
}

// A table of SQLite is made anew with foreign keys off, which SQLite only
// allows outside a transaction; they must be off again after a crash.
func TestTheSessionIsSetUpAgainAfterACrash(t *testing.T) {
	for at := 1; at <= 6; at++ {
		db, tree := migratetest.SQLite(t), fstest.MapFS{}
		db.Exec("CREATE TABLE author (id integer primary key)", "CREATE TABLE book (author integer references author on delete cascade)",
			"INSERT INTO author VALUES (1)", "INSERT INTO book VALUES (1)")
		put(tree, "1_anew.up.sql", "PRAGMA foreign_keys = OFF;\nBEGIN;\nCREATE TABLE author_new (id integer primary key, name text);\n"+
			"INSERT INTO author_new (id) SELECT id FROM author;\nDROP TABLE author;\nALTER TABLE author_new RENAME TO author;\nCOMMIT;\nPRAGMA foreign_keys = ON;\n")
		tool, p := tool(t, sqlfiles.Config{}), migrate.Project{Tree: tree, Session: db}
		m := list(t, tool, p).Migrations[0]
		if m.Atomic {
			t.Fatal("it is called atomic")
		}
		killed(t, p, at, "within", func(p migrate.Project) error { return tool.Up(t.Context(), p, m) })
		if err := db.Do(t.Context(), ship.Work{Statements: []string{"PRAGMA foreign_keys = ON"}}); err != nil { // a new session
			t.Fatal(err)
		}
		if err := tool.Up(t.Context(), p, m); err != nil {
			t.Fatal(err)
		}
		rows, err := db.Rows(t.Context(), "SELECT count(*), (SELECT count(name) FROM pragma_table_info('author')) FROM book")
		if err != nil || rows[0][0] != "1" || rows[0][1] != "2" {
			t.Errorf("killed at %d: books and columns are %v, %v", at, rows, err)
		}
	}
}

func TestAFileThatWasChangedInTheMiddleIsNotGoneOnWith(t *testing.T) {
	db, tree := migratetest.SQLite(t), fstest.MapFS{}
	put(tree, "00001_two.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE a (id int);\nINSERT INTO nowhere VALUES (1);\n")
	tool, p := tool(t, sqlfiles.Config{}), migrate.Project{Tree: tree, Session: db}
	if err := tool.Up(t.Context(), p, list(t, tool, p).Migrations[0]); err == nil || !strings.Contains(err.Error(), "1 of its 2 statements are done") {
		t.Fatal(err)
	}
	put(tree, "00001_two.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE a (id int);\nINSERT INTO a VALUES (1);\n")
	m := list(t, tool, p).Migrations[0]
	if state, err := tool.Observe(t.Context(), p, m); err != nil || state != migrate.StateUnknown {
		t.Errorf("observed as %s, %v", state, err)
	}
	if err := tool.Up(t.Context(), p, m); ship.KindOf(err) != ship.MigrationFailed || !strings.Contains(err.Error(), "another text") {
		t.Errorf("going on with another text: %v", err)
	}
}
