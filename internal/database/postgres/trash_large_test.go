package postgres_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// large makes a table that is copied in pages.
func large(t *testing.T, run *sql.DB) {
	t.Helper()
	exec(t, run, "%s", "CREATE TABLE big (id int PRIMARY KEY, note text NOT NULL); INSERT INTO big SELECT n, repeat(md5(n::text), 8) FROM generate_series(1, 130000) n; CREATE INDEX big_note ON big (left(note, 8))")
}

func TestALargeTableIsCopiedInPagesAndWhatIsWrittenMeanwhileIsCopiedAgain(t *testing.T) {
	for _, column := range []string{"note", ""} {
		t.Run("column "+column, func(t *testing.T) {
			u, _ := owned(t)
			run, db := app(t, u), open(t, u)
			large(t, run)
			before := objects(t, db)
			d := drop("big", column)
			l := lock(t, db, first)
			pages(t, l, d, 3) // and then it is killed
			exec(t, run, "%s", "UPDATE big SET note = 'changed' WHERE id IN (1, 129999); DELETE FROM big WHERE id = 2; INSERT INTO big VALUES (-1, 'new'), (200000, 'new')")
			if err := l.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
			l = lock(t, db, second)
			pages(t, l, d, 100)
			exec(t, run, "%s", "UPDATE big SET note = 'late' WHERE id = 3")
			rows := scalar(t, run, "SELECT md5(string_agg(b::text, '' ORDER BY id)) FROM (SELECT id, note FROM big) b")
			statement := "DROP TABLE big"
			if column != "" {
				statement = "ALTER TABLE big DROP COLUMN note"
			}
			dropped(t, l, d, statement)
			all, err := db.Trash(t.Context())
			if err != nil || len(all) != 1 || all[0].Status != database.TrashDropped {
				t.Fatalf("the trash holds %+v, %v; want one", all, err)
			}
			back, err := undrop(t, db, l, nil)
			if err != nil || len(back.Notes) > 0 {
				t.Fatalf("undrop: %v, %q", err, back.Notes)
			}
			same(t, before, objects(t, db))
			if got := scalar(t, run, "SELECT md5(string_agg(b::text, '' ORDER BY id)) FROM (SELECT id, note FROM big) b"); got != rows {
				t.Error("the rows are not what they were")
			}
		})
	}
}

// pages copies no more than so many pages.
func pages(t *testing.T, l database.Lock, d ship.Drop, most int) {
	t.Helper()
	for range most {
		more, err := l.(database.Undropper).CopyAside(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return
		}
	}
}

func TestAnUndropThatIsCutOffGoesOnWhereItWas(t *testing.T) {
	u, _ := owned(t)
	run, db := app(t, u), open(t, u)
	large(t, run)
	before := objects(t, db)
	rows := scalar(t, run, "SELECT md5(string_agg(note, '' ORDER BY id)) FROM big")
	l := lock(t, db, first)
	dropped(t, l, drop("big", "note"), "ALTER TABLE big DROP COLUMN note")
	for _, word := range []string{"10000 of", "65000 of", "not null", "index"} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := l.(database.Undropper).Undrop(ctx, 1, "ann", nil, func(text string) {
			if strings.Contains(text, word) {
				cancel()
			}
		})
		cancel()
		if err == nil {
			t.Fatalf("it was not cut off at %q", word)
		}
	}
	back, err := undrop(t, db, l, nil)
	if err != nil || len(back.Notes) > 0 || back.Returned != 130000 {
		t.Fatalf("undrop: %v, %q, %d values", err, back.Notes, back.Returned)
	}
	same(t, before, objects(t, db))
	if got := scalar(t, run, "SELECT md5(string_agg(note, '' ORDER BY id)) FROM big"); got != rows {
		t.Error("the values are not what they were")
	}
}

func TestSequencesAndIdentitiesGoOnCountingWhereTheyWere(t *testing.T) {
	for _, column := range []string{"no", "nr", ""} {
		t.Run("column "+column, func(t *testing.T) {
			u, role := owned(t)
			run, db := app(t, u), open(t, u)
			exec(t, run, "%s", `CREATE TABLE ticket (id int PRIMARY KEY, no smallserial, nr bigint GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 10), seat text);
				REVOKE ALL ON SEQUENCE ticket_no_seq FROM `+role+`; GRANT USAGE ON SEQUENCE ticket_no_seq TO `+role+` WITH GRANT OPTION;
				INSERT INTO ticket (id, seat) SELECT n, 'seat ' || n FROM generate_series(1, 3) n`)
			before := objects(t, db)
			rows := scalar(t, run, "SELECT string_agg(concat(id, ' ', no, ' ', nr, ' ', seat), ',' ORDER BY id) FROM ticket")
			statement := "DROP TABLE ticket"
			if column != "" {
				statement = "ALTER TABLE ticket DROP COLUMN " + column
			}
			l := lock(t, db, first)
			dropped(t, l, drop("ticket", column), statement)
			back, err := undrop(t, db, l, nil)
			if err != nil || len(back.Notes) > 0 {
				t.Fatalf("undrop: %v, %q", err, back.Notes)
			}
			same(t, before, objects(t, db))
			if got := scalar(t, run, "SELECT string_agg(concat(id, ' ', no, ' ', nr, ' ', seat), ',' ORDER BY id) FROM ticket"); got != rows {
				t.Errorf("the rows are %s, were %s", got, rows)
			}
			if got := scalar(t, run, "INSERT INTO ticket (id) VALUES (4) RETURNING no || ' ' || nr"); got != "4 130" {
				t.Errorf("the next numbers are %s, want 4 130", got)
			}
		})
	}
}

func TestAColumnOfATableWithPartitionsComesBack(t *testing.T) {
	u, _ := owned(t)
	run, db := app(t, u), open(t, u)
	exec(t, run, "%s", `CREATE TABLE visit (id int, day int NOT NULL, who bigint NOT NULL DEFAULT 1 REFERENCES customer, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
		CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM (0) TO (10); CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM (10) TO (20);
		CREATE INDEX visit_who ON visit (who);
		INSERT INTO visit SELECT n, n, 1 + n % 3 FROM generate_series(1, 19) n`)
	before := objects(t, db)
	rows := scalar(t, run, "SELECT string_agg(id || ' ' || who, ',' ORDER BY id) FROM visit")
	l := lock(t, db, first)
	dropped(t, l, drop("visit", "who"), "ALTER TABLE visit DROP COLUMN who")
	back, err := undrop(t, db, l, nil)
	if err != nil || len(back.Notes) > 0 {
		t.Fatalf("undrop: %v, %q", err, back.Notes)
	}
	same(t, before, objects(t, db))
	if got := scalar(t, run, "SELECT string_agg(id || ' ' || who, ',' ORDER BY id) FROM visit"); got != rows {
		t.Errorf("the rows are %s, were %s", got, rows)
	}
}
