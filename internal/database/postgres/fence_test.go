package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/database/postgres"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

func TestARaisedFenceStopsAnOwnerWhoseSessionsLiveOn(t *testing.T) {
	u := testneed.Postgres(t)
	db := open(t, u)
	l := lock(t, db, first)
	exec(t, app(t, u), "UPDATE _shiplock.fence SET epoch = 9")
	create, done := []string{"CREATE TABLE product (id integer)"}, []ship.Record{{Migration: "one", Status: ship.RecordDone}}
	for _, w := range []ship.Work{{Statements: create, Atomic: true, Record: done}, {Statements: create, Record: done}, {Record: done}} {
		if err := l.Do(t.Context(), w); ship.KindOf(err) != ship.Fenced {
			t.Errorf("Do %+v: %v, want kind Fenced", w, err)
		}
	}
	if _, err := l.Rows(t.Context(), "SELECT 1"); ship.KindOf(err) != ship.Fenced {
		t.Errorf("Rows: %v, want kind Fenced", err)
	}
	if _, err := db.Rows(t.Context(), "SELECT * FROM product"); !errors.Is(err, database.ErrNoTable) {
		t.Errorf("the fenced owner changed the database: %v", err)
	}
	if records, err := db.Ledger(t.Context()); err != nil || len(records) != 0 {
		t.Errorf("the fenced owner recorded %+v, %v", records, err)
	}
}

func TestTheFenceIsNotRaisedWithinATransactionOfItsOwner(t *testing.T) {
	u := testneed.Postgres(t)
	db, err := postgres.New(database.Config{URL: ship.NewSecret(u), LockTimeout: time.Minute}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	l := lock(t, db, first)
	gate := connectAs(t, u, "gate")
	if _, err := gate.Exec(t.Context(), "SELECT pg_advisory_lock(1)"); err != nil {
		t.Fatal(err)
	}
	result := make(chan error)
	go func() {
		result <- l.Do(t.Context(), ship.Work{Atomic: true, Statements: []string{"SELECT pg_advisory_lock(1)"}})
	}()
	shop := app(t, u)
	poll(t, func() bool {
		return scalar(t, shop, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == "1"
	})
	raise := "SET lock_timeout = '50ms'; UPDATE _shiplock.fence SET epoch = 9"
	if _, err := shop.ExecContext(t.Context(), raise); err == nil {
		t.Error("the fence was raised while its owner was at work")
	}
	if _, err := gate.Exec(t.Context(), "SELECT pg_advisory_unlock(1)"); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Errorf("Do: %v", err)
	}
	exec(t, shop, "%s", raise)
}
