package promote_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/pipeline"
	"github.com/shiplock/shiplock/internal/promote"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/store"
)

// A hall is a desk before a real store. Runs are carried out by the test.
type hall struct {
	t     *testing.T
	dir   string
	store *store.Store
	desk  *promote.Desk

	mu      sync.Mutex
	started []string
	shift   time.Duration // of the desk's clock
}

func newHall(t *testing.T) *hall {
	t.Helper()
	h := &hall{t: t, dir: t.TempDir()}
	h.open()
	t.Cleanup(func() { _ = h.store.Close() })
	for _, digest := range []string{"sha256:1", "sha256:2", "sha256:3"} {
		if _, err := h.store.AddRelease(t.Context(), ship.Release{App: "shop", Artifact: ship.Artifact{Digest: digest}}); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h *hall) open() {
	h.t.Helper()
	var err error
	if h.store, err = store.Open(h.t.Context(), h.dir); err != nil {
		h.t.Fatal(err)
	}
	if h.desk, err = promote.New(promote.Config{Store: h.store, Start: h.start, Now: h.now}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hall) start(run string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.started = append(h.started, run)
}

func (h *hall) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Add(h.shift)
}

// later sets the desk's clock forward.
func (h *hall) later(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.shift += d
}

// begun tells how often a run was started.
func (h *hall) begun(run string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range h.started {
		if id == run {
			n++
		}
	}
	return n
}

// staff has the desk look after the queue until the returned function is called.
func (h *hall) staff() (stop func()) {
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan error, 1)
	go func() { done <- h.desk.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Error(err)
		}
	})
}

// environments of a shop: dev, then staging, then production.
var (
	dev        = ship.Environment{ID: ship.EnvironmentID{App: "shop", Name: "dev"}}
	staging    = ship.Environment{ID: ship.EnvironmentID{App: "shop", Name: "staging"}, After: "dev", Auto: true}
	production = ship.Environment{ID: ship.EnvironmentID{App: "shop", Name: "production"}, After: "staging", Soak: time.Hour}
)

func (h *hall) ask(env ship.Environment, release int, queue bool) (ship.Run, error) {
	h.t.Helper()
	rel, err := h.store.Release(h.t.Context(), "shop", release)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.desk.Ask(h.t.Context(), ship.Request{Verb: ship.VerbDeploy, Environment: env, Release: rel, By: "ann", Next: []ship.Environment{staging}}, queue)
}

func (h *hall) must(run ship.Run, err error) ship.Run {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
	return run
}

// ends has a run end as the engine would record it.
func (h *hall) ends(run ship.Run, status ship.Status) {
	h.t.Helper()
	if status == ship.Passed {
		if err := h.store.AddDeployed(h.t.Context(), run); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := h.store.SetStatus(h.t.Context(), run.ID, status, ship.Result{Status: status}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hall) run(id string) ship.Run {
	h.t.Helper()
	r, err := h.store.Run(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// becomes waits for a run to have a status.
func (h *hall) becomes(id string, want ship.Status) ship.Run {
	h.t.Helper()
	timeout := time.After(time.Minute)
	for {
		changed := h.store.Changed()
		r := h.run(id)
		if r.Status == want {
			return r
		}
		select {
		case <-changed:
		case <-timeout:
			h.t.Fatalf("run %s is %s (%s), not %s", id, r.Status, r.Result.Reason, want)
		}
	}
}

// newest waits for the newest run of an environment to be another than before,
// and returns it.
func (h *hall) newest(env ship.Environment, before string) ship.Run {
	h.t.Helper()
	timeout := time.After(time.Minute)
	for {
		changed := h.store.Changed()
		all, err := h.store.Runs(h.t.Context(), ship.RunFilter{App: "shop", Env: env.ID.Name, Limit: 1})
		if err != nil {
			h.t.Fatal(err)
		}
		if len(all) > 0 && all[0].ID != before {
			return all[0]
		}
		select {
		case <-changed:
		case <-timeout:
			h.t.Fatalf("no run of %s came", env.ID)
		}
	}
}

func TestWhatWaitsBeginsWhenTheRunBeforeItEnds(t *testing.T) {
	h := newHall(t)
	stop := h.staff()
	defer stop()
	first := h.must(h.ask(dev, 1, false))
	if _, err := h.ask(dev, 2, false); ship.KindOf(err) != ship.Locked || !strings.Contains(ship.HintOf(err), "--queue") {
		t.Errorf("without --queue: %v (%s)", err, ship.HintOf(err))
	}
	second := h.must(h.ask(dev, 2, true))
	if r := h.run(second.ID); r.Status != ship.Queued || !strings.Contains(r.Result.Reason, first.ID) {
		t.Errorf("the second is %s: %s", r.Status, r.Result.Reason)
	}
	third := h.must(h.ask(dev, 3, true))
	if r := h.run(second.ID); r.Status != ship.Superseded || !strings.Contains(r.Result.Reason, third.ID) {
		t.Errorf("the second is %s: %s", r.Status, r.Result.Reason)
	}
	h.ends(first, ship.Broken)
	h.becomes(third.ID, ship.Planned)
	h.ends(third, ship.Passed)
	h.newest(staging, "") // the queue was looked at again
	if h.begun(first.ID) != 1 || h.begun(second.ID) != 0 || h.begun(third.ID) != 1 {
		t.Errorf("started: %v", h.started)
	}
}

func TestAPromotionWaitsForTheSoakAndBeginsByItself(t *testing.T) {
	h := newHall(t)
	h.ends(h.must(h.ask(dev, 1, false)), ship.Passed)
	h.ends(h.must(h.ask(staging, 1, false)), ship.Passed)
	if _, err := h.ask(production, 1, false); ship.KindOf(err) != ship.Locked || !strings.Contains(err.Error(), "production wants 1h: until") {
		t.Errorf("before it has soaked: %v", err)
	}
	waiting := h.must(h.ask(production, 1, true))
	h.later(time.Hour)
	stop := h.staff()
	defer stop()
	h.becomes(waiting.ID, ship.Planned)
}

func TestWhatWaitsInVainEndsAndSaysWhy(t *testing.T) {
	h := newHall(t)
	h.ends(h.must(h.ask(dev, 1, false)), ship.Passed)
	h.ends(h.must(h.ask(staging, 1, false)), ship.Passed)
	waiting := h.must(h.ask(production, 1, true))
	stop := h.staff()
	defer stop()
	h.ends(h.must(h.ask(dev, 2, false)), ship.Passed)
	two := h.newest(staging, "") // passed by itself
	for two.Request.Release.Number != 2 {
		two = h.newest(staging, two.ID)
	}
	h.ends(h.becomes(two.ID, ship.Planned), ship.Passed)
	if r := h.becomes(waiting.ID, ship.Broken); !strings.Contains(r.Result.Reason, "before v2 came") || r.Result.Kind != ship.Refused {
		t.Errorf("%+v", r.Result)
	}
	if h.begun(waiting.ID) != 0 {
		t.Error("it began")
	}
}

// The desk is replaced by another at every moment between the end of a run and
// the beginning of what follows it; nothing is lost, nothing begins twice.
func TestAPromotionIsNeitherLostNorBegunTwiceWhenTheServerDies(t *testing.T) {
	h := newHall(t)
	reopen := func() {
		t.Helper()
		if err := h.store.Close(); err != nil {
			t.Fatal(err)
		}
		h.open()
	}
	one := h.must(h.ask(dev, 1, false))
	h.ends(one, ship.Passed)
	reopen() // before anybody looked
	due, err := h.store.Due(t.Context())
	if err != nil || len(due) != 1 {
		t.Fatalf("due: %v, %v", due, err)
	}
	stop := h.staff()
	follower := h.newest(staging, "")
	h.becomes(follower.ID, ship.Planned)
	stop()
	reopen() // after it began
	stop = h.staff()
	h.ends(follower, ship.Passed)
	h.must(h.ask(dev, 2, false)) // something to look at
	stop()
	all, err := h.store.Runs(t.Context(), ship.RunFilter{App: "shop", Env: "staging"})
	if err != nil || len(all) != 1 {
		t.Errorf("runs of staging: %v, %v, want one", all, err)
	}
	if !all[0].Request.Auto || all[0].Request.From != "dev" || all[0].Request.Release.Artifact.Digest != one.Request.Release.Artifact.Digest {
		t.Errorf("%+v is no promotion of the same bytes", all[0].Request)
	}
}

// A crash between two records leaves the first: it is found, not made again.
func TestAPromotionThatWasRecordedButNotTickedOffIsNotMadeAgain(t *testing.T) {
	h := newHall(t)
	one := h.must(h.ask(dev, 1, false))
	h.ends(one, ship.Passed)
	follower := h.must(h.desk.Ask(t.Context(), pipeline.Followers(h.run(one.ID))[0], true))
	h.ends(follower, ship.Broken)
	stop := h.staff()
	timeout := time.After(time.Minute)
	for {
		due, err := h.store.Due(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(due) == 0 {
			break
		}
		select {
		case <-timeout:
			t.Fatal("it is still due")
		case <-time.After(time.Millisecond):
		}
	}
	stop()
	if all, err := h.store.Runs(t.Context(), ship.RunFilter{App: "shop", Env: "staging"}); err != nil || len(all) != 1 || all[0].Status != ship.Broken {
		t.Errorf("runs of staging: %v, %v, want the one", all, err)
	}
}

func TestALockHoldsUpWhatWaitsAndARollbackPasses(t *testing.T) {
	h := newHall(t)
	h.ends(h.must(h.ask(dev, 1, false)), ship.Passed)
	h.ends(h.must(h.ask(dev, 2, false)), ship.Passed)
	if _, err := h.store.Lock(t.Context(), ship.Lock{Environment: dev.ID, By: "dana", Reason: "the sale", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.ask(dev, 3, false); ship.KindOf(err) != ship.Locked || !strings.Contains(err.Error(), "locked by dana: the sale") {
		t.Errorf("a deployment: %v", err)
	}
	waiting := h.must(h.ask(dev, 3, true))
	stop := h.staff()
	defer stop()
	rel, err := h.store.Release(t.Context(), "shop", 1)
	if err != nil {
		t.Fatal(err)
	}
	back, err := h.desk.Ask(t.Context(), ship.Request{Verb: ship.VerbRollback, Environment: dev, Release: rel, By: "bob"}, false)
	if err != nil || back.Status != ship.Planned {
		t.Errorf("a rollback: %s, %v", back.Status, err)
	}
	if r := h.becomes(waiting.ID, ship.Superseded); !strings.Contains(r.Result.Reason, back.ID) {
		t.Errorf("what waited: %s", r.Result.Reason)
	}
	h.ends(back, ship.Passed)
	waiting = h.must(h.ask(dev, 3, true))
	if _, err := h.store.Unlock(t.Context(), dev.ID, "dana", time.Now()); err != nil {
		t.Fatal(err)
	}
	h.becomes(waiting.ID, ship.Planned)
}

func TestWhatWaitsCanBeAborted(t *testing.T) {
	h := newHall(t)
	h.must(h.ask(dev, 1, false))
	waiting := h.must(h.ask(dev, 2, true))
	for _, want := range []bool{true, false} {
		if ended, err := h.desk.Abort(t.Context(), waiting, "bob"); err != nil || ended != want {
			t.Errorf("aborted %v, %v, want %v", ended, err, want)
		}
	}
	if r := h.run(waiting.ID); r.Status != ship.Aborted || !strings.Contains(r.Result.Reason, "bob") {
		t.Errorf("%s: %s", r.Status, r.Result.Reason)
	}
}

func TestTheCandidateIsWhatServesTheEnvironmentBefore(t *testing.T) {
	h := newHall(t)
	refused := func(env ship.Environment, kind ship.Kind, why string) {
		t.Helper()
		if _, err := h.desk.Candidate(t.Context(), env); ship.KindOf(err) != kind || !strings.Contains(err.Error(), why) {
			t.Errorf("candidate of %s: %v, want %q", env.ID.Name, err, why)
		}
	}
	refused(dev, ship.Invalid, "comes after no environment")
	refused(staging, ship.Refused, "nothing has served dev")
	h.ends(h.must(h.ask(dev, 1, false)), ship.Passed)
	if rel, err := h.desk.Candidate(t.Context(), staging); err != nil || rel.Number != 1 || rel.Artifact.Digest != "sha256:1" {
		t.Errorf("candidate: %+v, %v", rel, err)
	}
	h.must(h.ask(dev, 2, false))
	refused(staging, ship.Locked, "dev is changing")
}
