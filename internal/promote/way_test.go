package promote_test

import (
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
)

// backfilling is a run that is at its backfill.
func (h *hall) backfilling() ship.Run {
	h.t.Helper()
	run := h.must(h.ask(dev, 1, false))
	if err := h.store.SetStatus(h.t.Context(), run.ID, ship.Running, ship.Result{}); err != nil {
		h.t.Fatal(err)
	}
	if err := h.store.Intend(h.t.Context(), run.ID, 0, plan.Backfill, ship.StepStarted, 1); err != nil {
		h.t.Fatal(err)
	}
	return run
}

// pauses ends a run when it is asked to make way, as the engine does after the
// batch under way.
func (h *hall) pauses(run ship.Run) {
	h.t.Helper()
	timeout := time.After(time.Minute)
	for {
		changed := h.store.Changed()
		sig, err := h.store.TakeSignal(h.t.Context(), run.ID, deploy.PauseBackfill)
		if err != nil {
			h.t.Fatal(err)
		}
		if sig != nil {
			h.ends(run, ship.Passed)
			return
		}
		select {
		case <-changed:
		case <-timeout:
			h.t.Fatal("nobody asked the backfill to make way")
		}
	}
}

func TestABackfillMakesWayForADeploymentAndForWhatWaits(t *testing.T) {
	h := newHall(t)
	first := h.backfilling()
	asked := make(chan ship.Run, 1)
	go func() {
		run, err := h.desk.Ask(t.Context(), ship.Request{Verb: ship.VerbDeploy, Environment: dev, Release: ship.Release{App: "shop", Number: 2}}, false)
		if err != nil {
			t.Error(err)
		}
		asked <- run
	}()
	h.pauses(first)
	second := <-asked
	if second.Status != ship.Planned || h.begun(second.ID) != 1 {
		t.Errorf("the deployment is %s and was started %d times", second.Status, h.begun(second.ID))
	}
	// It comes to its own backfill while another waits.
	waiting := h.must(h.ask(dev, 3, true))
	if err := h.store.SetStatus(t.Context(), second.ID, ship.Running, ship.Result{}); err != nil {
		t.Fatal(err)
	}
	if err := h.store.Intend(t.Context(), second.ID, 0, plan.Backfill, ship.StepStarted, 1); err != nil {
		t.Fatal(err)
	}
	stop := h.staff()
	defer stop()
	h.pauses(second)
	h.becomes(waiting.ID, ship.Planned)
}

func TestARunThatIsAtAnythingElseIsLeftAlone(t *testing.T) {
	h := newHall(t)
	run := h.must(h.ask(dev, 1, false))
	if err := h.desk.MakeWay(t.Context(), run, ship.Signal{Name: deploy.PauseBackfill}); ship.KindOf(err) != ship.Locked {
		t.Errorf("%v, want it told that the run is not at a backfill", err)
	}
}
