package deploy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
)

const noteFill = "-- shiplock: backfill table=orders key=id batch=10\nUPDATE orders SET note = 'x' WHERE note IS NULL AND :page;\n"

// fillRelease is the first release with a backfill of that text.
func fillRelease(s *stage, digest, text string) ship.Release {
	s.t.Helper()
	dir := filepath.Join(s.dir, "releases", digest, "backfills")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "1_note.sql"), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return s.release(digest, map[string]string{"00001_init.sql": initial})
}

// filled is a stage with rows to fill.
func filled(t *testing.T) *stage {
	t.Helper()
	s := newStage(t)
	if r := s.deploy(firstRelease(s)); r.Status != ship.Passed {
		t.Fatal(r.Reason)
	}
	s.exec("INSERT INTO orders (id) WITH RECURSIVE x(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM x WHERE i < 200) SELECT i FROM x")
	return s
}

func (s *stage) left() string {
	s.t.Helper()
	rows, err := s.open().Rows(s.t.Context(), "SELECT count(*) FROM orders WHERE note IS NULL")
	if err != nil {
		s.t.Fatal(err)
	}
	return rows[0][0]
}

func own(how string) func(*ship.Request) {
	return func(r *ship.Request) { r.Verb, r.Options.Backfill = ship.VerbMigrate, how }
}

func TestADeploymentCarriesOutTheBackfillsOfItsReleaseOnce(t *testing.T) {
	s := filled(t)
	r := fillRelease(s, "sha256:2", noteFill)
	if got := s.deploy(r); got.Status != ship.Passed || len(got.Notes) != 0 || s.left() != "0" {
		t.Fatalf("%s: %s %q, %s rows are left", got.Status, got.Reason, got.Notes, s.left())
	}
	ledger, err := s.open().Ledger(t.Context())
	if last := ledger[len(ledger)-1]; err != nil || last.Migration != "backfills/1_note.sql" || last.Phase != ship.Backfill || last.Status != ship.RecordDone {
		t.Errorf("the ledger ends with %+v, %v", last, err)
	}
	again := s.deploy(r)
	if again.Status != ship.Passed || s.said(again.Run, ship.EventStarted) == "" || strings.Contains(s.said(again.Run, ship.EventStarted), "backfill:") {
		t.Errorf("the next deployment: %s, %s", again.Reason, s.said(again.Run, ship.EventStarted))
	}
	if got := s.deploy(fillRelease(s, "sha256:3", noteFill+"-- changed\n")); got.Kind != ship.Refused || !strings.Contains(got.Reason, "was changed after run") {
		t.Errorf("a changed file: %s, %s", got.Kind, got.Reason)
	}
}

func TestABackfillThatFailsTakesNothingBack(t *testing.T) {
	s := filled(t)
	broken := strings.Replace(noteFill, "'x'", "nothing", 1)
	got := s.deploy(fillRelease(s, "sha256:2", broken))
	if got.Status != ship.Passed || got.Serving != 2 || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "shiplock migrate backfill run production") {
		t.Fatalf("%s, v%d serves: %s %q", got.Status, got.Serving, got.Reason, got.Notes)
	}
	if got := s.deploy(fillRelease(s, "sha256:2", broken), own(plan.BackfillRun)); got.Kind != ship.MigrationFailed {
		t.Errorf("a run of its own: %s, %s", got.Kind, got.Reason)
	}
	if got := s.deploy(fillRelease(s, "sha256:3", noteFill), own(plan.BackfillRun)); got.Status != ship.Passed || s.left() != "0" {
		t.Errorf("mended: %s %s, %s rows are left", got.Status, got.Reason, s.left())
	}
}

func TestAPausedBackfillWaitsForItsResumption(t *testing.T) {
	s := filled(t)
	r := fillRelease(s, "sha256:2", noteFill)
	run := s.add(r)
	if err := s.store.Signal(t.Context(), run.ID, ship.Signal{Name: deploy.PauseBackfill, By: "ann"}); err != nil {
		t.Fatal(err)
	}
	got := s.carry(run.ID)
	if got.Status != ship.Passed || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "paused by ann") || s.left() != "200" {
		t.Fatalf("%s %q, %s rows are left", got.Reason, got.Notes, s.left())
	}
	if got := s.deploy(r, own(plan.BackfillRun)); got.Status != ship.Passed || s.left() != "200" {
		t.Errorf("to carry on what is not paused: %s, %s rows are left", got.Reason, s.left())
	}
	if got := s.deploy(r, own(plan.BackfillResume)); got.Status != ship.Passed || s.left() != "0" {
		t.Errorf("resumed: %s %s, %s rows are left", got.Status, got.Reason, s.left())
	}
}

func TestABackfillThatMakesWayIsCarriedOnByTheNextDeployment(t *testing.T) {
	s := filled(t)
	r := fillRelease(s, "sha256:2", noteFill)
	run := s.add(r)
	if err := s.store.Signal(t.Context(), run.ID, ship.Signal{Name: deploy.PauseBackfill, By: "ann", Data: ship.VerbDeploy}); err != nil {
		t.Fatal(err)
	}
	if got := s.carry(run.ID); got.Status != ship.Passed || s.left() != "200" {
		t.Fatalf("%s, %s rows are left", got.Reason, s.left())
	}
	if got := s.deploy(r); got.Status != ship.Passed || s.left() != "0" {
		t.Errorf("%s, %s rows are left", got.Reason, s.left())
	}
}

func TestBackfillsArePausedWhileNoRunIsAtThem(t *testing.T) {
	s := filled(t)
	r := fillRelease(s, "sha256:2", noteFill)
	req := ship.Request{Environment: s.env, Release: r}
	if err := s.engine.PauseBackfills(t.Context(), req, "bob"); err != nil {
		t.Fatal(err)
	}
	all, err := s.engine.Backfills(t.Context(), req)
	if err != nil || len(all) != 1 || all[0].Kept.Status != database.FillPaused || all[0].Kept.Note != "paused by bob" {
		t.Errorf("%+v, %v", all, err)
	}
	if got := s.deploy(r); got.Status != ship.Passed || s.left() != "200" {
		t.Errorf("%s, %s rows are left", got.Reason, s.left())
	}
}
