package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/store"
)

func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

var shop = ship.EnvironmentID{App: "shop", Name: "production"}

func request(env ship.EnvironmentID) ship.Request {
	return ship.Request{Verb: ship.VerbDeploy, Environment: ship.Environment{ID: env}, Release: ship.Release{App: env.App, Number: 3}, By: "dana"}
}

func addRun(t *testing.T, s *store.Store) ship.Run {
	t.Helper()
	r, err := s.AddRun(t.Context(), request(shop), ship.Plan{Schema: ship.PlanSchema, Steps: []ship.Step{{Name: "one"}}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheStateHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := store.Open(t.Context(), dir)
	if ship.KindOf(err) != ship.Locked || !strings.Contains(err.Error(), "in use by process") {
		t.Errorf("second Open = %v, want kind locked naming the process", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

func TestReleasesAreNumberedPerAppAndNeverTwice(t *testing.T) {
	s := open(t, t.TempDir())
	add := func(app, digest string) int {
		r, err := s.AddRelease(t.Context(), ship.Release{App: app, Artifact: ship.Artifact{Digest: digest}})
		if err != nil {
			t.Fatal(err)
		}
		return r.Number
	}
	got := []int{add("shop", "a"), add("shop", "b"), add("blog", "a"), add("shop", "a")}
	if want := []int{1, 2, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("numbers = %v, want %v", got, want)
	}
	if _, err := s.Release(t.Context(), "shop", 9); ship.KindOf(err) != ship.NotFound {
		t.Errorf("Release(9) = %v, want kind not_found", err)
	}
}

func TestAnEnvironmentHasOneRunAndTheSecondIsToldWhoHoldsIt(t *testing.T) {
	s := open(t, t.TempDir())
	first := addRun(t, s)
	_, err := s.AddRun(t.Context(), request(shop), ship.Plan{})
	if ship.KindOf(err) != ship.Locked || !strings.Contains(err.Error(), first.ID) || !strings.Contains(err.Error(), "dana") {
		t.Errorf("second AddRun = %v, want kind locked naming %s and dana", err, first.ID)
	}
	if _, err := s.AddRun(t.Context(), request(ship.EnvironmentID{App: "shop", Name: "dev"}), ship.Plan{}); err != nil {
		t.Errorf("AddRun in another environment = %v", err)
	}
	if err := s.SetStatus(t.Context(), first.ID, ship.Passed, ship.Result{Reason: "done"}); err != nil {
		t.Fatal(err)
	}
	addRun(t, s)
}

func TestWhoAsksAgainWithTheSameKeyGetsTheSameRun(t *testing.T) {
	s := open(t, t.TempDir())
	req := request(shop)
	req.Key = "one wish"
	first, err := s.AddRun(t.Context(), req, ship.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.AddRun(t.Context(), req, ship.Plan{})
	if err != nil || again.ID != first.ID {
		t.Errorf("while it goes on: run %q, %v, want %s", again.ID, err, first.ID)
	}
	if err := s.SetStatus(t.Context(), first.ID, ship.Passed, ship.Result{Reason: "done"}); err != nil {
		t.Fatal(err)
	}
	again, err = s.AddRun(t.Context(), req, ship.Plan{})
	if err != nil || again.ID != first.ID || again.Status != ship.Passed {
		t.Errorf("after its end: run %q (%s), %v, want %s", again.ID, again.Status, err, first.ID)
	}
	if of, err := s.RunOf(t.Context(), req.Key); err != nil || of.ID != first.ID {
		t.Errorf("RunOf = %q, %v", of.ID, err)
	}
	for _, key := range []string{"", "another"} {
		if _, err := s.RunOf(t.Context(), key); ship.KindOf(err) != ship.NotFound {
			t.Errorf("RunOf(%q) = %v, want not found", key, err)
		}
	}
	if next := addRun(t, s); next.ID == first.ID {
		t.Error("a request without a key got the run of another")
	}
}

func TestAJournalSurvivesItsOwner(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	run := addRun(t, s)
	longer := ship.Plan{Schema: ship.PlanSchema, Steps: []ship.Step{{Name: "one"}, {Name: "two"}}}
	err := errors.Join(
		s.Intend(t.Context(), run.ID, 0, "one", ship.StepStarted, 7),
		s.Settle(t.Context(), run.ID, 0, ship.StepDone, map[string]string{"slot": "blue"}, nil, &longer),
		s.Intend(t.Context(), run.ID, 1, "two", ship.StepStarted, 7),
		s.Intend(t.Context(), run.ID, 1, "two", ship.StepStarted, 8),
		s.Close())
	if err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	again, err := s.Run(t.Context(), run.ID)
	if err != nil || len(again.Plan.Steps) != 2 {
		t.Errorf("plan after reopening has %d steps, %v; want 2", len(again.Plan.Steps), err)
	}
	j, err := s.Journal(t.Context(), run.ID)
	if err != nil || len(j) != 2 {
		t.Fatalf("journal = %v, %v; want two entries", j, err)
	}
	if j[0].State != ship.StepDone || string(j[0].Evidence) != `{"slot":"blue"}` {
		t.Errorf("first entry = %+v, want done with its evidence", j[0])
	}
	if j[1].State != ship.StepStarted || j[1].Attempt != 2 || j[1].Epoch != 8 {
		t.Errorf("second entry = %+v, want the second attempt begun under epoch 8", j[1])
	}
}

func TestASignalIsBufferedAndTakenOnce(t *testing.T) {
	s := open(t, t.TempDir())
	run := addRun(t, s)
	if err := s.Signal(t.Context(), run.ID, ship.Signal{Name: "cancel", By: "lee"}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false} {
		sig, err := s.TakeSignal(t.Context(), run.ID, "cancel")
		if err != nil || (sig != nil) != want {
			t.Errorf("take %d = %v, %v; want a signal: %v", i, sig, err, want)
		}
	}
	if err := s.SetStatus(t.Context(), run.ID, ship.Broken, ship.Result{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Signal(t.Context(), run.ID, ship.Signal{Name: "cancel"}); ship.KindOf(err) != ship.Invalid {
		t.Errorf("signal to an ended run = %v, want kind invalid", err)
	}
}

func TestEventsAreNumberedAndWakeTheirFollowers(t *testing.T) {
	s := open(t, t.TempDir())
	run := addRun(t, s)
	changed := s.Changed()
	for range 3 {
		if err := s.AddEvent(t.Context(), ship.Event{Run: run.ID, Type: ship.EventNote, Text: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	<-changed
	got, err := s.Events(t.Context(), run.ID, 1)
	if err != nil || len(got) != 2 || got[0].Seq != 2 || got[1].Seq != 3 {
		t.Errorf("events after 1 = %v, %v; want those numbered 2 and 3", got, err)
	}
}

func TestADeploymentIsRecordedOnce(t *testing.T) {
	s := open(t, t.TempDir())
	run := addRun(t, s)
	for range 2 {
		if err := s.AddDeployed(t.Context(), run); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.DeployedIn(t.Context(), shop)
	if err != nil || len(got) != 1 || got[0].Release != 3 {
		t.Errorf("deployed = %v, %v; want release 3 once", got, err)
	}
}

func TestAPlanOfANewerSchemaIsNotOpened(t *testing.T) {
	s := open(t, t.TempDir())
	r, err := s.AddRun(t.Context(), request(shop), ship.Plan{Schema: ship.PlanSchema + 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(t.Context(), r.ID); ship.KindOf(err) != ship.Invalid {
		t.Errorf("Run = %v, want kind invalid", err)
	}
}
