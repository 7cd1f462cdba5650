package deploy_test

import (
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/ship"
)

// halfWay is not atomic, and fails after its first statement for good.
const halfWay = `-- +goose NO TRANSACTION
-- +goose Up
ALTER TABLE orders ADD COLUMN vat integer;
ALTER TABLE missing ADD COLUMN vat integer;
`

func TestAFailedMigrationSaysWhatWasWrittenSinceTheBackup(t *testing.T) {
	s := newStage(t)
	if r := s.deploy(firstRelease(s)); r.Status != ship.Passed {
		t.Fatal(r.Reason)
	}
	next := s.release("sha256:2", map[string]string{"00001_init.sql": initial, "00002_vat.sql": halfWay})
	run := s.add(next)
	s.journal.after = func(kind string) {
		if kind == "backup" { // users go on writing
			s.exec("INSERT INTO orders (note) VALUES ('a'), ('b'), ('c')")
		}
	}
	r := s.carry(run.ID)
	if r.Status != ship.Paused || !strings.Contains(r.Reason, "3 rows were written since the backup") {
		t.Errorf("the run ended as %s: %s", r.Status, r.Reason)
	}
	notes := strings.Join(r.Notes, "\n")
	if !strings.Contains(notes, "orders 3") || !strings.Contains(notes, "a restore would lose them") {
		t.Errorf("the notes do not say what a restore would lose:\n%s", notes)
	}
	copies, err := s.engine.Copies(s.env)
	if err != nil || len(copies) == 0 || copies[0].Run != run.ID || copies[0].Release != 2 || copies[0].Info.Size == 0 {
		t.Fatalf("the newest backup is %+v, %v", copies, err)
	}
	_, in, err := s.engine.Lost(t.Context(), ship.Request{Environment: s.env, Release: next}, copies[0].Path)
	if err != nil || len(in) != 1 || in[0].Table != "orders" || in[0].Rows != 3 {
		t.Errorf("a restore would lose %+v, %v", in, err)
	}
}

func TestNothingIsSaidOfTheBackupWhereTheMigrationIsFine(t *testing.T) {
	s := newStage(t)
	if r := s.deploy(firstRelease(s)); r.Status != ship.Passed {
		t.Fatal(r.Reason)
	}
	vat := "-- +goose Up\nALTER TABLE orders ADD COLUMN vat integer;\n-- +goose Down\nALTER TABLE orders DROP COLUMN vat;\n"
	run := s.add(s.release("sha256:2", map[string]string{"00001_init.sql": initial, "00002_vat.sql": vat}))
	s.platform.away, s.platform.refuse = "start", true
	r := s.carry(run.ID)
	if r.Status != ship.Broken || r.Schema != ship.SchemaAhead {
		t.Fatalf("the run ended as %s, schema %s: %s", r.Status, r.Schema, r.Reason)
	}
	if notes := strings.Join(r.Notes, "\n"); strings.Contains(notes, "since the backup") {
		t.Errorf("the migration did not fail, and the notes say:\n%s", notes)
	}
}
