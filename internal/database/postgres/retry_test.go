package postgres_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/database/postgres"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

// retrying opens a database that tries again for as long as it is told.
func retrying(t *testing.T, u string, longest, budget time.Duration, tell func(string)) database.Lock {
	t.Helper()
	db, err := postgres.New(database.Config{URL: ship.NewSecret(u), LockTimeout: longest, LockRetry: budget, Retrying: tell}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return lock(t, db, first)
}

func TestWorkThatDoesNotGetItsLockIsTriedAgainAndSaysWhoHasIt(t *testing.T) {
	u := testneed.Postgres(t)
	exec(t, app(t, u), "CREATE TABLE product (id integer)")
	report := connectAs(t, u, "nightly report")
	if _, err := report.Exec(t.Context(), "BEGIN; SELECT * FROM product"); err != nil {
		t.Fatal(err)
	}
	reader := app(t, u)
	var told []string
	l := retrying(t, u, time.Second, time.Minute, func(what string) {
		told = append(told, what)
		// Nobody queues behind us between two tries.
		exec(t, reader, "SET lock_timeout = '50ms'; SELECT * FROM product")
		if len(told) == 2 {
			if _, err := report.Exec(t.Context(), "COMMIT"); err != nil {
				t.Error(err)
			}
		}
	})
	w := ship.Work{Atomic: true, Statements: []string{"CREATE TABLE done (id integer)", "ALTER TABLE product ADD COLUMN price integer"}}
	if err := l.Do(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if len(told) != 2 || !strings.Contains(told[0], "nightly report") || !strings.Contains(told[0], "idle in transaction") || !strings.Contains(told[0], "try 2 is in") {
		t.Errorf("told %q", told)
	}
	if n := scalar(t, reader, "SELECT count(*) FROM information_schema.columns WHERE table_name = 'product' AND column_name = 'price'"); n != "1" {
		t.Errorf("%s columns were added", n)
	}
}

func TestTriesForALockEndWithTheirBudget(t *testing.T) {
	u := testneed.Postgres(t)
	exec(t, app(t, u), "CREATE TABLE product (id integer)")
	report := connectAs(t, u, "nightly report")
	if _, err := report.Exec(t.Context(), "BEGIN; SELECT * FROM product"); err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]ship.Work{
		"in a transaction":      {Atomic: true, Statements: []string{"ALTER TABLE product ADD COLUMN price integer"}},
		"without a transaction": {Statements: []string{"ALTER TABLE product ADD COLUMN price integer"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := retrying(t, u, 300*time.Millisecond, 2*time.Second, nil)
			err := l.Do(t.Context(), w)
			if !errors.Is(err, database.ErrBusy) || !strings.Contains(err.Error(), "nightly report") || !strings.Contains(err.Error(), "; tried ") {
				t.Errorf("got %v", err)
			}
			if err := l.Release(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestATransactionThatWasChosenToEndADeadlockIsDoneAgain(t *testing.T) {
	u := testneed.Postgres(t)
	exec(t, app(t, u), "CREATE TABLE product (id integer); CREATE TABLE sale (id integer); ALTER DATABASE %s SET deadlock_timeout = '100ms'", name(u))
	other := connectAs(t, u, "application")
	if _, err := other.Exec(t.Context(), "SET deadlock_timeout = '1h'; BEGIN; LOCK TABLE sale"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	tries := 0
	l := retrying(t, u, 20*time.Second, time.Minute, func(string) { tries++ })
	watcher := app(t, u)
	go func() {
		poll(t, func() bool {
			return scalar(t, watcher, "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'sale'::regclass") == "1"
		})
		_, err := other.Exec(t.Context(), "LOCK TABLE product; COMMIT")
		ended <- err
	}()
	w := ship.Work{Atomic: true, Statements: []string{"ALTER TABLE product ADD COLUMN a integer", "ALTER TABLE sale ADD COLUMN a integer"}}
	if err := l.Do(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || tries == 0 {
		t.Errorf("the application got %v, after %d tries of ours", err, tries)
	}
}

// name is the database of a URL.
func name(u string) string {
	u, _, _ = strings.Cut(u, "?")
	return u[strings.LastIndexByte(u, '/')+1:]
}
