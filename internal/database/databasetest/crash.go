package databasetest

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// crashVariable tells a test binary that it is the process to be killed.
const crashVariable = "SHIPLOCK_DATABASETEST_CRASH"

func (s Suite) longLock(t *testing.T) {
	place := s.Create(t)
	s.fill(t, place)
	db, app := s.open(t, place), s.app(t, place)
	l := lock(t, db, 1, "ann")
	busy, err := app.BeginTx(within(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := busy.ExecContext(within(t), "UPDATE product SET price = 4 WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	work := ship.Work{
		Statements: []string{"ALTER TABLE product ADD COLUMN stock integer"}, Atomic: true,
		Record: []ship.Record{{Migration: "stock", Status: ship.RecordDone}},
	}
	begun := time.Now()
	err = l.Do(within(t), work)
	wantKind(t, err, ship.MigrationFailed)
	if took := time.Since(begun); !errors.Is(err, database.ErrBusy) || took > patience/2 {
		t.Errorf("behind a lock Do failed after %s with %v, want ErrBusy soon", took, err)
	}
	// The transaction that was in the way, and others, have lost nothing.
	if got := rows(t, db, "SELECT count(*) FROM product"); got[0][0] != "2" {
		t.Errorf("a reader saw %v", got)
	}
	if _, err := busy.ExecContext(within(t), "UPDATE product SET price = 5 WHERE id = 1"); err != nil {
		t.Errorf("the application's transaction: %v", err)
	}
	if err := busy.Commit(); err != nil {
		t.Errorf("the application's transaction: %v", err)
	}
	if len(ledger(t, db)) != 0 {
		t.Error("what was not done was recorded")
	}
	do(t, l, work)
	if got := rows(t, db, "SELECT price, stock FROM product WHERE id = 1"); got[0][0] != "5" || len(ledger(t, db)) != 1 {
		t.Errorf("tried again: %v and %d records", got, len(ledger(t, db)))
	}
}

func (s Suite) killed(t *testing.T) {
	place := s.Create(t)
	db, app := s.open(t, place), s.app(t, place)
	text, err := json.Marshal(place)
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(t.Name(), "/")
	child := exec.Command(os.Args[0], "-test.run=^"+name+"$")
	child.Env = append(os.Environ(), crashVariable+"="+string(text))
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the child is inside its transaction", func() bool { return s.Inside(app) })
	_, err = db.Lock(within(t), fence(1), "bob")
	wantKind(t, err, ship.Locked)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()

	l := lock(t, db, 2, "bob")
	if hasTable(t, db, "half") || len(ledger(t, db)) != 0 {
		t.Error("the killed migration left something")
	}
	do(t, l, ship.Work{
		Statements: []string{"CREATE TABLE half (id integer)"}, Atomic: true,
		Record: []ship.Record{{Migration: "half", Status: ship.RecordDone}},
	})
	if !hasTable(t, db, "half") || len(ledger(t, db)) != 1 {
		t.Error("the migration could not be run again")
	}
}

func crashPlace() (p Place, ok bool) {
	text, ok := os.LookupEnv(crashVariable)
	return p, ok && json.Unmarshal([]byte(text), &p) == nil
}

// crashInside is what the process to be killed does.
func (s Suite) crashInside(t *testing.T, p Place) {
	l := lock(t, s.open(t, p), 1, "the dead")
	err := l.Do(t.Context(), ship.Work{
		Statements: []string{"CREATE TABLE half (id integer)", s.Slow}, Atomic: true,
		Record: []ship.Record{{Migration: "half", Status: ship.RecordDone}},
	})
	t.Fatalf("the slow statement ended: %v", err)
}
