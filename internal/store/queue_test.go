package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/store"
)

// line puts a run into the queue of the shop.
func line(t *testing.T, s *store.Store, by string) ship.Run {
	t.Helper()
	req := request(shop)
	req.By = by
	r, err := s.Add(t.Context(), store.Wish{Request: req, Plan: ship.Plan{Schema: ship.PlanSchema}, Waits: "somebody is first", Supersedes: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func status(t *testing.T, s *store.Store, id string) ship.Run {
	t.Helper()
	r, err := s.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOneRunWaitsAndANewerOneTakesItsPlaceForAllToSee(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	running := addRun(t, s)
	first := line(t, s, "ann")
	if r := status(t, s, first.ID); r.Status != ship.Queued || r.Result.Reason != "waits: somebody is first" {
		t.Errorf("the first: %s, %q", r.Status, r.Result.Reason)
	}
	second := line(t, s, "bob")
	if err := s.Close(); err != nil { // what waits survives who kept it
		t.Fatal(err)
	}
	s = open(t, dir)
	r := status(t, s, first.ID)
	if r.Status != ship.Superseded || !r.Status.Ended() || r.EndedAt.IsZero() || r.Result.Kind != ship.Locked || !strings.Contains(r.Result.Reason, "superseded by "+second.ID) || !strings.Contains(r.Result.Reason, "bob") {
		t.Errorf("the first: %+v", r)
	}
	events, err := s.Events(t.Context(), first.ID, 0)
	if err != nil || len(events) != 2 || events[1].Type != ship.EventFinal {
		t.Errorf("events of the first: %v, %v; want why it waits and its end", events, err)
	}
	if _, err := s.Begin(t.Context(), second.ID); ship.KindOf(err) != ship.Locked {
		t.Errorf("the second begins beside %s: %v", running.ID, err)
	}
	if err := s.SetStatus(t.Context(), running.ID, ship.Passed, ship.Result{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(t.Context(), first.ID); ship.KindOf(err) != ship.NotFound {
		t.Errorf("the first begins: %v", err)
	}
	for _, want := range []ship.Kind{"", ship.NotFound} { // once
		if got, err := s.Begin(t.Context(), second.ID); err != nil && ship.KindOf(err) != want || err == nil && (want != "" || got.Status != ship.Planned) {
			t.Errorf("the second: %s, %v, want %q", got.Status, err, want)
		}
	}
	if _, err := s.AddRun(t.Context(), request(shop), ship.Plan{}); ship.KindOf(err) != ship.Locked {
		t.Errorf("beside the second: %v", err)
	}
}

func TestWhatBeginsAtOnceTakesThePlaceOfWhatWaits(t *testing.T) {
	s := open(t, t.TempDir())
	waiting := line(t, s, "ann")
	req := request(shop)
	req.Verb = ship.VerbMigrate
	if r, err := s.Add(t.Context(), store.Wish{Request: req}); err != nil || status(t, s, waiting.ID).Status != ship.Queued {
		t.Fatalf("a run that takes nobody's place: %v", err)
	} else if err := s.SetStatus(t.Context(), r.ID, ship.Passed, ship.Result{}); err != nil {
		t.Fatal(err)
	}
	req.Verb = ship.VerbRollback
	if _, err := s.Add(t.Context(), store.Wish{Request: req, Supersedes: true}); err != nil {
		t.Fatal(err)
	}
	if r := status(t, s, waiting.ID); r.Status != ship.Superseded {
		t.Errorf("after a rollback it is %s", r.Status)
	}
}

func TestARefusedWishTakesNobodysPlace(t *testing.T) {
	s := open(t, t.TempDir())
	addRun(t, s)
	waiting := line(t, s, "ann")
	if _, err := s.Add(t.Context(), store.Wish{Request: request(shop), Supersedes: true}); ship.KindOf(err) != ship.Locked {
		t.Errorf("beside a run: %v", err)
	}
	if r := status(t, s, waiting.ID); r.Status != ship.Queued {
		t.Errorf("what waits is %s", r.Status)
	}
}

func TestWhatARunWaitsForIsToldWhenItChanges(t *testing.T) {
	s := open(t, t.TempDir())
	waiting := line(t, s, "ann")
	for _, why := range []string{"somebody is first", "it is frozen", "it is frozen"} {
		if err := s.WaitsFor(t.Context(), waiting.ID, why); err != nil {
			t.Fatal(err)
		}
	}
	events, err := s.Events(t.Context(), waiting.ID, 0)
	if err != nil || len(events) != 2 || events[1].Text != "waits: it is frozen" {
		t.Errorf("%v, %v", events, err)
	}
	moved := s.Moved()
	if err := s.WaitsFor(t.Context(), waiting.ID, "it is frozen"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-moved:
		t.Error("what is known already wakes those who look after the queue")
	default:
	}
	for _, want := range []bool{true, false} {
		if ended, err := s.EndQueued(t.Context(), waiting.ID, ship.Result{Status: ship.Aborted}); err != nil || ended != want {
			t.Errorf("ended %v, %v, want %v", ended, err, want)
		}
	}
	if err := s.WaitsFor(t.Context(), waiting.ID, "nothing"); err != nil || status(t, s, waiting.ID).Status != ship.Aborted {
		t.Errorf("an ended run waits again: %v", err)
	}
}

func TestPromotionsAreDueUntilTheyAreRecorded(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	due := func(want ...string) {
		t.Helper()
		all, err := s.Due(t.Context())
		if err != nil || len(all) != len(want) || len(all) > 0 && all[0].ID != want[0] {
			t.Errorf("due: %v, %v, want %v", all, err, want)
		}
	}
	req := request(shop)
	req.Next = []ship.Environment{{ID: ship.EnvironmentID{App: "shop", Name: "after"}}}
	r, err := s.AddRun(t.Context(), req, ship.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	due()
	if err := s.SetStatus(t.Context(), r.ID, ship.Passed, ship.Result{}); err != nil {
		t.Fatal(err)
	}
	due(r.ID)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	due(r.ID)
	if err := s.Promoted(t.Context(), r.ID); err != nil {
		t.Fatal(err)
	}
	due()
}

func TestALockHoldsUntilItsEndAndSaysWhose(t *testing.T) {
	s := open(t, t.TempDir())
	now := time.Now().UTC()
	lock := func(by, reason string, at, until time.Time) error {
		_, err := s.Lock(t.Context(), ship.Lock{Environment: shop, By: by, Reason: reason, At: at, Until: until})
		return err
	}
	held := func(at time.Time) string {
		l, err := s.LockOf(t.Context(), shop, at)
		if err != nil {
			t.Fatal(err)
		}
		if l == nil {
			return ""
		}
		return l.By + ": " + l.Reason
	}
	if err := lock("ann", "sale", now, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := lock("bob", "disk", now, time.Time{}); ship.KindOf(err) != ship.Locked || !strings.Contains(err.Error(), "ann") || !strings.Contains(err.Error(), "sale") {
		t.Errorf("a second lock: %v", err)
	}
	if err := lock("ann", "sale", now, time.Time{}); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if got := held(now.Add(59 * time.Minute)); got != "ann: sale" {
		t.Errorf("held by %q", got)
	}
	if got := held(now.Add(time.Hour)); got != "" {
		t.Errorf("held by %q after its end", got)
	}
	if err := lock("bob", "disk", now.Add(time.Hour), time.Time{}); err != nil {
		t.Errorf("after the end of the first: %v", err)
	}
	if all, err := s.Locks(t.Context(), "shop", now.Add(1000*time.Hour)); err != nil || len(all) != 1 || all[0].By != "bob" {
		t.Errorf("locks: %v, %v", all, err)
	}
	for _, want := range []bool{true, false} {
		if l, err := s.Unlock(t.Context(), shop, "cleo", now); err != nil || (l != nil) != want {
			t.Errorf("unlock: %v, %v", l, err)
		}
	}
	if got := held(now); got != "" {
		t.Errorf("held by %q after it was unlocked", got)
	}
}

func TestTheHistorySaysWhichWereRollbacks(t *testing.T) {
	s := open(t, t.TempDir())
	for _, verb := range []string{ship.VerbDeploy, ship.VerbRollback} {
		req := request(shop)
		req.Verb = verb
		r, err := s.AddRun(t.Context(), req, ship.Plan{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.AddDeployed(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if err := s.SetStatus(t.Context(), r.ID, ship.Passed, ship.Result{}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.DeployedIn(t.Context(), shop)
	if err != nil || len(all) != 2 || all[0].Verb != ship.VerbRollback || all[1].Verb != ship.VerbDeploy {
		t.Errorf("%+v, %v", all, err)
	}
}
