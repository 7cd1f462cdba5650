// Package databasetest is the conformance suite of the database seam: what
// every kind of database must do, tried on real ones. It knows the promises of
// database.Database and nothing of how a kind keeps them.
package databasetest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// A Place is one database, for shiplock and for an application.
type Place struct {
	URL string // as in shiplock.yaml
	Dir string
	DSN string // for the driver of the application
}

// A Suite says how to try a kind of database.
type Suite struct {
	New    func(database.Config) (database.Database, error)
	Create func(t testing.TB) Place // an empty database
	Driver string                   // of database/sql, for the application
	Slow   string                   // a statement that runs for minutes
	Inside func(app *sql.DB) bool   // tells whether a session runs Slow in a transaction that writes
	// Changes of the schema, each with the kinds of objects a catalog must see changed.
	Changes []Change
}

// A Change is one that a catalog must see.
type Change struct {
	Name   string
	Before []string // makes the schema it is made to
	SQL    string
	Kinds  []string
}

// LockTimeout is how long statements of the suite wait for a lock.
const LockTimeout = 300 * time.Millisecond

const patience = 60 * time.Second

// Run tries every promise as a subtest.
func Run(t *testing.T, s Suite) {
	if place, ok := crashPlace(); ok {
		s.crashInside(t, place)
		return
	}
	t.Run("TestReadingCreatesNothing", s.readingCreatesNothing)
	t.Run("TestA42OfTwoAtOnceOneIsToldWhoHoldsTheLock", s.exclusion)
	t.Run("TestReleaseFreesTheLockAndMayBeRepeated", s.release)
	t.Run("TestANewerOwnerFencesTheOlder", s.fencing)
	t.Run("TestAtomicWorkIsDoneWhollyOrNotAtAll", s.atomic)
	t.Run("TestAStatementCannotEndTheTransactionUnnoticed", s.commitInside)
	t.Run("TestAStatementOutsideATransactionIsRecordedAfterIt", s.single)
	t.Run("TestACancelledStatementLeavesNothing", s.cancelled)
	t.Run("TestRecordsSurvive", s.records)
	t.Run("TestRowsAreText", s.rows)
	t.Run("TestTheCatalogSeesEveryChange", s.changes)
	t.Run("TestABackupIsVerifiedAndRestored", s.backup)
	t.Run("TestA55AnotherKeyOrADamagedCopyFailsClosed", s.wrongKey)
	t.Run("TestWhatIsWrittenIsSeen", s.written)
	t.Run("TestA41ALongLockHitsTheTimeoutAndTheTrafficGoesOn", s.longLock)
	t.Run("TestA43AKilledMigrationLeavesNothing", s.killed)
}

func (s Suite) open(t testing.TB, p Place) database.Database {
	t.Helper()
	return s.openWith(t, p, bytes.Repeat([]byte{7}, 32))
}

func (s Suite) openWith(t testing.TB, p Place, key []byte) database.Database {
	t.Helper()
	db, err := s.New(database.Config{URL: ship.NewSecret(p.URL), Dir: p.Dir, LockTimeout: LockTimeout, Key: key})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

// app opens the database the way an application does.
func (s Suite) app(t testing.TB, p Place) *sql.DB {
	t.Helper()
	app, err := sql.Open(s.Driver, p.DSN)
	if err != nil {
		t.Fatal(err)
	}
	app.SetMaxIdleConns(0) // an idle connection would be in the way of a restore
	t.Cleanup(func() { _ = app.Close() })
	return app
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	return ctx
}

func (s Suite) exec(t testing.TB, app *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := app.ExecContext(within(t), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func fence(epoch int64) ship.Fence {
	return ship.Fence{Run: map[int64]string{1: "first", 2: "second", 3: "third"}[epoch], Epoch: epoch}
}

// lock takes the migration lock and releases it at the end of the test.
func lock(t testing.TB, db database.Database, epoch int64, holder string) database.Lock {
	t.Helper()
	l, err := db.Lock(within(t), fence(epoch), holder)
	if err != nil {
		t.Fatalf("Lock with epoch %d: %v", epoch, err)
	}
	t.Cleanup(func() {
		if err := l.Release(within(t)); err != nil {
			t.Errorf("Release: %v", err)
		}
	})
	return l
}

func do(t testing.TB, l database.Lock, w ship.Work) {
	t.Helper()
	if err := l.Do(within(t), w); err != nil {
		t.Fatalf("Do %q: %v", w.Statements, err)
	}
}

func atomic(statements ...string) ship.Work { return ship.Work{Statements: statements, Atomic: true} }

func wantKind(t testing.TB, err error, kind ship.Kind) {
	t.Helper()
	if err == nil || ship.KindOf(err) != kind {
		t.Fatalf("got error %v of kind %q, want kind %q", err, ship.KindOf(err), kind)
	}
}

func hasTable(t testing.TB, db database.Database, table string) bool {
	t.Helper()
	_, err := db.Rows(within(t), "SELECT * FROM "+table)
	if err != nil && !errors.Is(err, database.ErrNoTable) {
		t.Fatalf("read %s: %v", table, err)
	}
	return err == nil
}

func ledger(t testing.TB, db database.Database) []ship.Record {
	t.Helper()
	records, err := db.Ledger(within(t))
	if err != nil {
		t.Fatalf("Ledger: %v", err)
	}
	return records
}

func catalog(t testing.TB, db database.Database) *database.Catalog {
	t.Helper()
	c, err := db.Catalog(within(t))
	if err != nil {
		t.Fatalf("Catalog: %v", err)
	}
	return c
}

func rows(t testing.TB, db database.Database, query string) [][]string {
	t.Helper()
	got, err := db.Rows(within(t), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return got
}
