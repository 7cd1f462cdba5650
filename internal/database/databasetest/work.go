package databasetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

func (s Suite) atomic(t *testing.T) {
	db := s.open(t, s.Create(t))
	l := lock(t, db, 1, "ann")
	err := l.Do(within(t), ship.Work{
		Statements: []string{"CREATE TABLE product (id integer PRIMARY KEY)", "INSERT INTO product VALUES (1), (1)"},
		Atomic:     true,
		Record:     []ship.Record{{Migration: "one", Status: ship.RecordDone}},
	})
	wantKind(t, err, ship.MigrationFailed)
	if e, ok := errors.AsType[*ship.StatementError](err); !ok || e.Index != 1 {
		t.Errorf("which statement failed is not told: %v", err)
	}
	if hasTable(t, db, "product") || len(ledger(t, db)) != 0 {
		t.Error("a part of failed work has stayed")
	}
	do(t, l, ship.Work{
		Statements: []string{"CREATE TABLE product (id integer PRIMARY KEY)", "INSERT INTO product VALUES (1), (2)"},
		Atomic:     true,
		Record:     []ship.Record{{Migration: "one", Status: ship.RecordDone}},
	})
	if got := rows(t, db, "SELECT count(*) FROM product"); got[0][0] != "2" || len(ledger(t, db)) != 1 {
		t.Errorf("after work that passed: %s rows and %d records, want 2 and 1", got[0][0], len(ledger(t, db)))
	}
}

func (s Suite) commitInside(t *testing.T) {
	db := s.open(t, s.Create(t))
	l := lock(t, db, 1, "ann")
	for _, trick := range [][]string{{"COMMIT"}, {"COMMIT", "BEGIN"}} {
		err := l.Do(within(t), ship.Work{
			Statements: append(append([]string{"CREATE TABLE product (id integer)"}, trick...), "DROP TABLE product"),
			Atomic:     true,
			Record:     []ship.Record{{Migration: "one", Status: ship.RecordDone}},
		})
		if err == nil || len(ledger(t, db)) != 0 {
			t.Errorf("%q in a migration: error %v and %d records, want an error and none", trick, err, len(ledger(t, db)))
		}
		if hasTable(t, db, "product") {
			do(t, l, atomic("DROP TABLE product"))
		}
	}
}

func (s Suite) single(t *testing.T) {
	db := s.open(t, s.Create(t))
	l := lock(t, db, 1, "ann")
	one := []ship.Record{{Migration: "one", Status: ship.RecordStarted, Statement: 1}}
	do(t, l, ship.Work{Statements: []string{"VACUUM"}, Record: one})
	if got := ledger(t, db); len(got) != 1 || got[0].Statement != 1 {
		t.Errorf("the ledger has %+v, want the statement counted", got)
	}
	err := l.Do(within(t), ship.Work{Statements: []string{"DROP TABLE missing"}, Record: []ship.Record{{Migration: "two"}}})
	wantKind(t, err, ship.MigrationFailed)
	if got := ledger(t, db); len(got) != 1 {
		t.Errorf("a failed statement was recorded: %+v", got)
	}
	err = l.Do(within(t), ship.Work{Statements: []string{"CREATE TABLE a (id integer)", "CREATE TABLE b (id integer)"}})
	if err == nil || hasTable(t, db, "a") {
		t.Errorf("two statements outside a transaction: error %v, want one and nothing done", err)
	}
}

func (s Suite) cancelled(t *testing.T) {
	place := s.Create(t)
	db, app := s.open(t, place), s.app(t, place)
	l := lock(t, db, 1, "ann")
	ctx, cancel := context.WithCancel(within(t))
	result := make(chan error)
	go func() {
		result <- l.Do(ctx, ship.Work{
			Statements: []string{"CREATE TABLE half (id integer)", s.Slow}, Atomic: true,
			Record: []ship.Record{{Migration: "half", Status: ship.RecordDone}},
		})
	}()
	until(t, "the statement runs", func() bool { return s.Inside(app) })
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled Do returned %v", err)
	}
	until(t, "the statement has ended", func() bool { return !s.Inside(app) })
	if hasTable(t, db, "half") || len(ledger(t, db)) != 0 {
		t.Error("a cancelled statement left something")
	}
	do(t, l, atomic("CREATE TABLE whole (id integer)")) // and the lock is still good
}

func (s Suite) records(t *testing.T) {
	place := s.Create(t)
	l := lock(t, s.open(t, place), 3, "ann")
	at := time.Date(2026, 2, 3, 4, 5, 6, 789000000, time.UTC)
	first := ship.Record{
		Migration: "shop.0001_initial", Checksum: "sha256:aa", Tool: "django", Phase: ship.Expand, Status: ship.RecordStarted,
		Statement: 4, Release: "sha256:bb", Run: "third", Epoch: 3, At: at,
	}
	second := first
	second.Migration, second.At = "shop.0002_price", at.Add(time.Second)
	third := first
	third.Migration, third.At = "shop.0003_stock", at.Add(2*time.Second)
	do(t, l, ship.Work{Record: []ship.Record{third, second, first}})
	second.Status, second.Phase = ship.RecordDone, ship.Contract
	do(t, l, ship.Work{Atomic: true, Record: []ship.Record{second}, Forget: []string{third.Migration}})
	if diff := cmp.Diff([]ship.Record{first, second}, ledger(t, s.open(t, place))); diff != "" {
		t.Errorf("the ledger differs (-want +got):\n%s", diff)
	}
}

func (s Suite) rows(t *testing.T) {
	place := s.Create(t)
	db := s.open(t, place)
	s.exec(t, s.app(t, place), "CREATE TABLE product (id integer, name text)", "INSERT INTO product VALUES (1, 'lock'), (2, NULL)")
	want := [][]string{{"1", "lock"}, {"2", ""}}
	if diff := cmp.Diff(want, rows(t, db, "SELECT id, name FROM product ORDER BY id")); diff != "" {
		t.Errorf("rows differ (-want +got):\n%s", diff)
	}
	got, err := db.Rows(within(t), "SELECT name FROM product WHERE id = $1", 1)
	if diff := cmp.Diff([][]string{{"lock"}}, got); err != nil || diff != "" {
		t.Errorf("with an argument: %v\n%s", err, diff)
	}
	if _, err := db.Rows(within(t), "SELECT * FROM absent"); !errors.Is(err, database.ErrNoTable) {
		t.Errorf("a missing table is %v, want ErrNoTable", err)
	}
	if _, err := db.Rows(within(t), "DELETE FROM product"); err == nil {
		t.Error("reading deleted rows")
	}
	l := lock(t, db, 1, "ann")
	if _, err := l.Rows(within(t), "SELECT * FROM absent"); !errors.Is(err, database.ErrNoTable) {
		t.Errorf("under the lock a missing table is %v, want ErrNoTable", err)
	}
	if got, err := l.Rows(within(t), "SELECT count(*) FROM product"); err != nil || got[0][0] != "2" {
		t.Errorf("under the lock: %v, %v; want 2", got, err)
	}
}

// until polls for a condition that must come true.
func until(t testing.TB, what string, met func() bool) {
	t.Helper()
	ctx := within(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s in vain: %s", patience, what)
		case <-tick.C:
		}
	}
}
