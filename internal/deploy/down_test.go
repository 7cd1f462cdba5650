package deploy_test

import (
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/ship"
)

const (
	vatUp       = "-- +goose Up\nALTER TABLE orders ADD COLUMN vat integer;\n"
	vatDown     = "-- +goose Down\nALTER TABLE orders DROP COLUMN vat;\n"
	notesUpDown = "-- +goose Up\nCREATE TABLE notes (id integer primary key);\n-- +goose Down\nDROP TABLE notes;\n"
)

// migrated is a stage where v1 serves and the migrations of v2 are applied.
func migrated(t *testing.T, files map[string]string) (*stage, ship.Release) {
	t.Helper()
	s := newStage(t)
	if r := s.deploy(firstRelease(s)); r.Status != ship.Passed {
		t.Fatal(r.Reason)
	}
	files["00001_init.sql"] = initial
	next := s.release("sha256:2", files)
	if r := s.deploy(next, func(q *ship.Request) { q.Verb = ship.VerbMigrate }); r.Status != ship.Passed {
		t.Fatal(r.Reason)
	}
	return s, next
}

func goDown(id string) func(*ship.Request) {
	return func(q *ship.Request) { q.Verb, q.Options.Down = ship.VerbMigrate, id }
}

func TestTakingMigrationsBackIsARunWithABackup(t *testing.T) {
	s, next := migrated(t, map[string]string{"00002_vat.sql": vatUp + vatDown, "00003_notes.sql": notesUpDown})
	s.exec("INSERT INTO orders (vat) VALUES (1), (NULL)")
	req := ship.Request{Environment: s.env, Release: next}
	goDown("00002_vat")(&req)
	p, err := s.engine.Plan(t.Context(), req, func(string) {})
	if err != nil || p.Refused != nil {
		t.Fatalf("%v, refused: %+v", err, p.Refused)
	}
	notes := strings.Join(p.Notes, "\n")
	for _, want := range []string{"table notes and every row in it is gone", "column orders.vat and every value in it", "1 rows have one"} {
		if !strings.Contains(strings.ReplaceAll(notes, " (0 rows)", ""), want) {
			t.Errorf("the plan does not say %q:\n%s", want, notes)
		}
	}
	run := s.add(next, goDown("00002_vat"))
	r := s.carry(run.ID)
	if r.Status != ship.Passed || r.Schema != ship.SchemaReverted || r.Serving != 1 {
		t.Errorf("the run ended as %s, schema %s, v%d serves: %s", r.Status, r.Schema, r.Serving, r.Reason)
	}
	if _, err := s.open().Rows(t.Context(), "SELECT vat FROM orders"); err == nil {
		t.Error("the column is still there")
	}
	if copies, err := s.engine.Copies(s.env); err != nil || copies[0].Run != run.ID {
		t.Errorf("the newest backup is %+v, %v", copies, err)
	}
}

func TestNothingIsTakenBackWhenOneOfThemHasNoWayDown(t *testing.T) {
	s, next := migrated(t, map[string]string{"00002_vat.sql": vatUp + vatDown, "00003_keep.sql": "-- +goose Up\nCREATE TABLE keep (id integer);\n"})
	r := s.deploy(next, goDown("00002_vat"))
	if r.Status != ship.Broken || r.Kind != ship.Refused || r.Schema != ship.SchemaUnchanged {
		t.Errorf("the run ended as %s (%s), schema %s", r.Status, r.Kind, r.Schema)
	}
	if !strings.Contains(r.Reason, "00003_keep has no way down") {
		t.Errorf("the reason is %q", r.Reason)
	}
	if _, err := s.open().Rows(t.Context(), "SELECT vat FROM orders"); err != nil {
		t.Errorf("something was taken back: %v", err)
	}
}
