package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
)

const (
	totalUpDown = "-- +goose Up\nALTER TABLE orders ADD COLUMN total integer;\n-- +goose Down\nALTER TABLE orders DROP COLUMN total;\n"
	dropNote    = "-- +goose Up\nALTER TABLE orders DROP COLUMN note;\n-- +goose Down\nALTER TABLE orders ADD COLUMN note text;\n"
)

// waiting is a stage where v2 serves, whose contract drops a column that v1
// needs, and waits. What ran of v1 is stopped.
func waiting(t *testing.T) (*stage, ship.Release) {
	t.Helper()
	s := newStage(t, func(s *stage) { s.env.Migrate.ContractAfter = 28 * 24 * time.Hour })
	if r := s.deploy(firstRelease(s)); r.Status != ship.Passed {
		t.Fatal(r.Reason)
	}
	next := s.release("sha256:2", map[string]string{"00001_init.sql": initial, "00002_total.sql": totalUpDown, "00003_drop_note.sql": dropNote})
	r := s.deploy(next)
	if r.Status != ship.Passed || !strings.Contains(strings.Join(r.Notes, " "), "00003_drop_note waits") {
		t.Fatalf("%s: %s, %v", r.Status, r.Reason, r.Notes)
	}
	return s, next
}

func (s *stage) stopOld() {
	delete(s.platform.slots, s.platform.active.Other())
}

func toContract(change ...func(*ship.Request)) func(*ship.Request) {
	return func(q *ship.Request) {
		q.Verb, q.Options.Contract = ship.VerbMigrate, true
		for _, c := range change {
			c(q)
		}
	}
}

func override(reason string) func(*ship.Request) {
	return func(q *ship.Request) { q.Options.Override, q.Reason = true, reason }
}

func (s *stage) columns(table string) []string {
	s.t.Helper()
	rows, err := s.open().Rows(s.t.Context(), "SELECT name FROM pragma_table_info(?)", table)
	if err != nil {
		s.t.Fatal(err)
	}
	var all []string
	for _, r := range rows {
		all = append(all, r[0])
	}
	return all
}

func TestADeploymentLeavesItsContractForARunOfItsOwn(t *testing.T) {
	s, next := waiting(t)
	if got := s.columns("orders"); !slices.Equal(got, []string{"id", "note", "total"}) {
		t.Errorf("columns are %v", got)
	}
	// It goes on to wait when the release is deployed again.
	if r := s.deploy(next); r.Status != ship.Passed || !slices.Contains(s.columns("orders"), "note") {
		t.Errorf("%s: %s", r.Status, r.Reason)
	}
}

func TestAContractIsRefusedNamingTheConditionsThatAreNotMet(t *testing.T) {
	s, next := waiting(t)
	r := s.deploy(next, toContract())
	if r.Kind != ship.Refused || r.Schema != ship.SchemaUnchanged {
		t.Fatalf("%s: %s", r.Kind, r.Reason)
	}
	for _, want := range []string{"00003_drop_note waits", "released is not met: 1 worker of v1 runs in", "window is not met: v1", "28 days have to pass", "it will be met at"} {
		if !strings.Contains(r.Reason, want) {
			t.Errorf("the reason does not say %q: %s", want, r.Reason)
		}
	}
	// What runs and needs the old shape is passed by for no reason.
	if r := s.deploy(next, toContract(override("it holds personal data"))); r.Kind != ship.Refused || !strings.Contains(r.Reason, "released") {
		t.Errorf("%s: %s", r.Kind, r.Reason)
	}
}

func TestAContractIsCarriedOutWhenItsConditionsAreMet(t *testing.T) {
	s, next := waiting(t)
	s.stopOld()
	s.env.Migrate.ContractAfter = 0
	run := s.add(next, toContract())
	if r := s.carry(run.ID); r.Status != ship.Passed || r.Schema != ship.SchemaChanged {
		t.Fatalf("%s: %s", r.Status, r.Reason)
	}
	if got := s.columns("orders"); slices.Contains(got, "note") {
		t.Errorf("columns are %v", got)
	}
	ledger, err := s.open().Ledger(t.Context())
	if err != nil || ledger[len(ledger)-1].Phase != ship.Contract {
		t.Errorf("the ledger has %+v, %v", ledger, err)
	}
	if r := s.deploy(next, toContract()); r.Kind != ship.NotFound {
		t.Errorf("a second time: %s: %s", r.Kind, r.Reason)
	}
	// What came before it cannot serve again.
	first, err := s.store.Release(t.Context(), "shop", 1)
	if err != nil {
		t.Fatal(err)
	}
	back := s.deploy(first, func(q *ship.Request) { q.Verb = ship.VerbRollback })
	if back.Kind != ship.Refused || !strings.Contains(back.Reason, "v1 cannot run on this database: it has 00003_drop_note") {
		t.Errorf("%s: %s", back.Kind, back.Reason)
	}
}

func TestAnOverrideNeedsAReasonAndIsRecorded(t *testing.T) {
	s, next := waiting(t)
	s.stopOld()
	if r := s.deploy(next, toContract(override(" "))); r.Kind != ship.Invalid || !strings.Contains(r.Reason, "reason") {
		t.Errorf("%s: %s", r.Kind, r.Reason)
	}
	run := s.add(next, toContract(override("it holds personal data")))
	if r := s.carry(run.ID); r.Status != ship.Passed {
		t.Fatal(r.Reason)
	}
	if said := s.said(run.ID, ship.EventNote); !strings.Contains(said, "although window is not met") || !strings.Contains(said, "overridden by ann: it holds personal data") {
		t.Errorf("the events say %q", said)
	}
	kept, err := s.store.Run(t.Context(), run.ID)
	if err != nil || !strings.Contains(strings.Join(kept.Plan.Notes, "\n"), "overridden by ann: it holds personal data") {
		t.Errorf("the plan says %v, %v", kept.Plan.Notes, err)
	}
}

func TestConditionsAreLookedAtOnceMoreBeforeTheStatements(t *testing.T) {
	s, next := waiting(t)
	s.stopOld()
	s.env.Migrate.ContractAfter = 0
	s.journal.after = func(kind string) {
		if kind == plan.Backup {
			s.exec("CREATE VIEW noted AS SELECT note FROM orders")
		}
	}
	r := s.deploy(next, toContract())
	if r.Kind != ship.Refused || !strings.Contains(r.Reason, "independent is not met: view noted needs column orders.note") || !slices.Contains(s.columns("orders"), "note") {
		t.Errorf("%s: %s", r.Kind, r.Reason)
	}
}

func TestAReleaseThatBuildsOnAContractIsRefusedUntilItIsDone(t *testing.T) {
	s, _ := waiting(t)
	files := map[string]string{
		"00001_init.sql": initial, "00002_total.sql": totalUpDown, "00003_drop_note.sql": dropNote,
		"00004_note.sql": "-- +goose Up\nALTER TABLE orders ADD COLUMN note integer;\n-- +goose Down\nALTER TABLE orders DROP COLUMN note;\n",
	}
	third := s.release("sha256:3", files)
	r := s.deploy(third)
	if r.Kind != ship.Refused || !strings.Contains(r.Reason, "v3 needs 00004_note, which builds on 00003_drop_note") || r.Next != "shiplock migrate contract production" {
		t.Fatalf("%s: %s; next: %s", r.Kind, r.Reason, r.Next)
	}
	// One that has nothing to do with it goes before.
	delete(files, "00004_note.sql")
	files["00005_notes.sql"] = notesUpDown
	fourth := s.release("sha256:4", files)
	if r := s.deploy(fourth); r.Status != ship.Passed || !slices.Contains(s.columns("orders"), "note") {
		t.Errorf("%s: %s", r.Status, r.Reason)
	}
	s.stopOld()
	s.env.Migrate.ContractAfter = 0
	if r := s.deploy(fourth, toContract()); r.Status != ship.Passed || slices.Contains(s.columns("orders"), "note") {
		t.Fatalf("%s: %s", r.Kind, r.Reason)
	}
	if r := s.deploy(third); r.Status != ship.Passed || !slices.Contains(s.columns("orders"), "note") {
		t.Errorf("%s: %s", r.Kind, r.Reason)
	}
}
