package databasetest

import (
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/ship"
)

func (s Suite) readingCreatesNothing(t *testing.T) {
	db := s.open(t, s.Create(t))
	ctx := within(t)
	if err := db.Ping(ctx); err != nil {
		t.Fatalf("Ping: %v", err)
	}
	epoch, err := db.Epoch(ctx)
	if records := ledger(t, db); err != nil || epoch != 0 || len(records) != 0 {
		t.Errorf("an empty database has epoch %d, %d records, error %v; want none of these", epoch, len(records), err)
	}
	if _, err := db.ServerVersion(ctx); err != nil {
		t.Errorf("ServerVersion: %v", err)
	}
	before := catalog(t, db)
	l := lock(t, db, 1, "ann")
	do(t, l, atomic("CREATE TABLE product (id integer PRIMARY KEY)"))
	do(t, l, atomic("DROP TABLE product"))
	if after := catalog(t, db); len(after.Objects) != len(before.Objects) {
		t.Errorf("the catalog shows what is ours: %+v", after.Objects)
	}
	size, err := db.Size(ctx)
	if err != nil || size <= 0 {
		t.Errorf("Size = %d, %v; want more than 0", size, err)
	}
}

func (s Suite) exclusion(t *testing.T) {
	place := s.Create(t)
	lock(t, s.open(t, place), 2, "ann of the shop")
	_, err := s.open(t, place).Lock(within(t), fence(2), "bob")
	wantKind(t, err, ship.Locked)
	if !strings.Contains(err.Error(), "ann of the shop") {
		t.Errorf("%q does not name the holder", err)
	}
	_, err = s.open(t, place).Lock(within(t), fence(1), "bob")
	wantKind(t, err, ship.Fenced)
}

func (s Suite) release(t *testing.T) {
	place := s.Create(t)
	first, err := s.open(t, place).Lock(within(t), fence(1), "ann")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := first.Release(within(t)); err != nil {
			t.Fatalf("Release: %v", err)
		}
	}
	lock(t, s.open(t, place), 1, "bob")
	if err := first.Do(within(t), atomic("CREATE TABLE product (id integer)")); err == nil {
		t.Error("a released lock still works")
	}
	if hasTable(t, s.open(t, place), "product") {
		t.Error("a released lock changed the database")
	}
}

func (s Suite) fencing(t *testing.T) {
	db := s.open(t, s.Create(t))
	old := lock(t, db, 1, "ann")
	do(t, old, atomic("CREATE TABLE product (id integer)"))
	lock(t, db, 2, "bob")

	record := ship.Record{Migration: "late", Status: ship.RecordDone}
	for _, w := range []ship.Work{
		{Statements: []string{"DROP TABLE product"}, Atomic: true, Record: []ship.Record{record}},
		{Statements: []string{"DROP TABLE product"}, Record: []ship.Record{record}},
		{Record: []ship.Record{record}},
	} {
		wantKind(t, old.Do(within(t), w), ship.Fenced)
	}
	_, err := old.Rows(within(t), "SELECT 1")
	wantKind(t, err, ship.Fenced)
	if !hasTable(t, db, "product") || len(ledger(t, db)) != 0 {
		t.Error("the fenced owner changed the database")
	}
	if err := old.Release(within(t)); err != nil {
		t.Errorf("Release of a fenced lock: %v", err)
	}
	_, err = db.Lock(within(t), fence(1), "ann")
	wantKind(t, err, ship.Fenced)
	if epoch, err := db.Epoch(within(t)); epoch != 2 || err != nil {
		t.Errorf("Epoch = %d, %v; want 2", epoch, err)
	}
}
