package rules_test

import (
	"testing"
	"time"
)

// until asks until an answer is as wanted.
func (s server) until(query, want string) {
	s.t.Helper()
	c := s.session("watcher")
	deadline := time.After(30 * time.Second)
	for s.text(c, query) != want {
		select {
		case <-deadline:
			s.t.Fatalf("%s did not become %s", query, want)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

const invalid = "SELECT count(*)::text FROM pg_index WHERE NOT indisvalid"

func TestFact01ALockTimeoutBoundsTheWaitOfAConcurrentIndexForTransactionsOnOtherTables(t *testing.T) {
	s := newServer(t, "CREATE TABLE o (a int)", "CREATE TABLE other (a int)")
	s.do(s.session("report"), "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT * FROM other")
	c := s.session("migration")
	s.do(c, "SET lock_timeout = '300ms'")
	if got := s.code(c, "CREATE INDEX CONCURRENTLY i ON o (a)"); got != "55P03" {
		t.Errorf("it ends with %q", got)
	}
	if got := s.text(c, invalid); got != "1" {
		t.Errorf("it leaves %s invalid indexes", got)
	}
}

func TestFact02IfNotExistsTakesAnInvalidIndexForDone(t *testing.T) {
	s := newServer(t, "CREATE TABLE o (a int)", "INSERT INTO o VALUES (1), (1)")
	c := s.session("migration")
	if got := s.code(c, "CREATE UNIQUE INDEX CONCURRENTLY i ON o (a)"); got != "23505" {
		t.Errorf("it ends with %q", got)
	}
	if got := s.code(c, "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON o (a)"); got != "" {
		t.Errorf("the second ends with %q", got)
	}
	if got := s.text(c, invalid); got != "1" {
		t.Errorf("there are %s invalid indexes after it", got)
	}
}

func TestFact03WhoWaitsForAnAdvisoryLockInsideTheServerKeepsAConcurrentIndexFromEnding(t *testing.T) {
	s := newServer(t, "CREATE TABLE o (a int)")
	first, second := s.session("first"), s.session("second")
	s.do(first, "SELECT pg_advisory_lock(1)")
	waits := make(chan error, 1)
	go func() {
		_, err := second.Exec(t.Context(), "SELECT pg_advisory_lock(1)")
		waits <- err
	}()
	s.until("SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", "1")
	s.do(first, "SET lock_timeout = '500ms'")
	if got := s.code(first, "CREATE INDEX CONCURRENTLY i ON o (a)"); got != "55P03" {
		t.Errorf("beside one that waits it ends with %q", got)
	}
	s.do(first, "SELECT pg_advisory_unlock(1)")
	if err := <-waits; err != nil {
		t.Fatal(err)
	}
	s.do(first, "SET lock_timeout = 0", "DROP INDEX CONCURRENTLY i", "CREATE INDEX CONCURRENTLY i ON o (a)")
}

func TestFact10AReaderQueuesBehindAnAlterThatWaits(t *testing.T) {
	s := newServer(t, "CREATE TABLE o (a int)")
	report, migration, app := s.session("report"), s.session("migration"), s.session("app")
	s.do(report, "BEGIN", "SELECT * FROM o")
	s.do(app, "SET lock_timeout = '300ms'", "SELECT * FROM o")
	waits := make(chan error, 1)
	go func() {
		_, err := migration.Exec(t.Context(), "ALTER TABLE o ADD COLUMN b int")
		waits <- err
	}()
	s.until("SELECT count(*)::text FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted", "1")
	if got := s.code(app, "SELECT * FROM o"); got != "55P03" {
		t.Errorf("a SELECT beside an ALTER that waits ends with %q", got)
	}
	s.do(report, "COMMIT")
	if err := <-waits; err != nil {
		t.Fatal(err)
	}
}
