package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/database/databasetest"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

func single(statement string) ship.Work {
	return ship.Work{Statements: []string{statement}, Record: []ship.Record{{Migration: "index", Status: ship.RecordDone}}}
}

func TestAConcurrentIndexWaitsForAnOldSnapshotLongerThanALockMayTake(t *testing.T) {
	u := testneed.Postgres(t)
	exec(t, app(t, u), "CREATE TABLE product (id integer); CREATE TABLE other (id integer)")
	db := open(t, u)
	l := lock(t, db, first)
	old := connectAs(t, u, "old snapshot")
	if _, err := old.Exec(t.Context(), "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM other"); err != nil {
		t.Fatal(err)
	}
	result := make(chan error)
	go func() {
		// A limit in the script is not for this statement either.
		if err := l.Do(t.Context(), ship.Work{Statements: []string{"SET lock_timeout = '10ms'"}}); err != nil {
			result <- err
			return
		}
		result <- l.Do(t.Context(), single("CREATE INDEX CONCURRENTLY by_id ON product (id)"))
	}()
	watcher := app(t, u)
	waits := "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%' AND wait_event = 'virtualxid' AND query_start < now() - interval '" + (2 * databasetest.LockTimeout).String() + "'"
	poll(t, func() bool { return scalar(t, watcher, waits) == "1" })
	// Whoever asks for the lock meanwhile does not wait inside the server.
	if _, err := db.Lock(t.Context(), first, "bob"); ship.KindOf(err) != ship.Locked {
		t.Errorf("a second owner: %v, want kind Locked", err)
	}
	if _, err := old.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Errorf("the index was not built: %v", err)
	}
}

func TestAnInvalidIndexIsAnErrorThatNamesIt(t *testing.T) {
	u := testneed.Postgres(t)
	exec(t, app(t, u), `CREATE TABLE "Product" (id integer); INSERT INTO "Product" VALUES (1), (1)`)
	db := open(t, u)
	l := lock(t, db, first)
	for _, statement := range []string{
		`CREATE UNIQUE INDEX CONCURRENTLY "One id" ON "Product" (id)`,
		`-- again
		create unique index /* still */ concurrently if not exists "One id" ON "Product" (id)`,
		`CREATE UNIQUE INDEX CONCURRENTLY ON "Product" (id)`, // named by the server
	} {
		err := l.Do(t.Context(), single(statement))
		if ship.KindOf(err) != ship.MigrationFailed || !strings.Contains(err.Error(), `invalid`) || !strings.HasPrefix(ship.HintOf(err), "DROP INDEX CONCURRENTLY public.") {
			t.Errorf("%s: %v, hint %q", statement, err, ship.HintOf(err))
		}
	}
	if records, err := db.Ledger(t.Context()); err != nil || len(records) != 0 {
		t.Errorf("recorded: %+v, %v", records, err)
	}
	for _, statement := range []string{`DROP INDEX CONCURRENTLY "One id"`, `DROP INDEX CONCURRENTLY "Product_id_idx"`, `CREATE INDEX CONCURRENTLY "One id" ON "Product" (id)`} {
		if err := l.Do(t.Context(), single(statement)); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

func TestOtherStatementsOutsideATransactionWaitNoLongerThanAllowed(t *testing.T) {
	u := testneed.Postgres(t)
	exec(t, app(t, u), "CREATE TABLE product (id integer)")
	l := lock(t, open(t, u), first)
	busy := connectAs(t, u, "busy")
	if _, err := busy.Exec(t.Context(), "BEGIN; LOCK TABLE product"); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{`ALTER TABLE product ADD COLUMN "concurrently" integer`, "VACUUM FULL product"} {
		if err := l.Do(t.Context(), single(statement)); !errors.Is(err, database.ErrBusy) {
			t.Errorf("%s: %v, want ErrBusy", statement, err)
		}
	}
}

func TestSettingsOfAScriptLastUntilItsEndIsRecorded(t *testing.T) {
	u := testneed.Postgres(t)
	exec(t, app(t, u), "CREATE SCHEMA shop")
	l := lock(t, open(t, u), first)
	for _, w := range []ship.Work{
		{Statements: []string{"SET search_path = shop"}},
		single("CREATE TABLE product (id integer)"), // its record ends the migration
		single("CREATE TABLE product (id integer)"),
	} {
		if err := l.Do(t.Context(), w); err != nil {
			t.Fatalf("%q: %v", w.Statements, err)
		}
	}
	if got := scalar(t, app(t, u), "SELECT string_agg(schemaname, ',' ORDER BY schemaname) FROM pg_tables WHERE tablename = 'product'"); got != "public,shop" {
		t.Errorf("the tables are in %s, want public,shop", got)
	}
}

func TestAFailedStatementIsLocatedWithoutBeingShown(t *testing.T) {
	l := lock(t, open(t, testneed.Postgres(t)), first)
	err := l.Do(t.Context(), ship.Work{Statements: []string{"SELECT 1", "SELECT '" + canary + "',\n  missing"}, Atomic: true})
	e, ok := errors.AsType[*ship.StatementError](err)
	if !ok || e.Index != 1 || e.Line != 2 || !strings.Contains(err.Error(), `column "missing" does not exist`) {
		t.Errorf("Do: %v", err)
	}
	noCanary(t, err)
}

// poll waits for a condition that must come true.
func poll(t testing.TB, met func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-ctx.Done():
			t.Fatal("waited a minute in vain")
		case <-tick.C:
		}
	}
}
