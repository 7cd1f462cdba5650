package deploy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestAStepWaitsForANodeThatIsAwayAndSaysSo(t *testing.T) {
	for _, call := range []string{"upload", "prepare", "start", "shift"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			run := s.add(firstRelease(s))
			s.platform.away, s.platform.failures = call, 3
			if r := s.carry(run.ID); r.Status != ship.Passed {
				t.Fatalf("the run ended as %s: %s", r.Status, r.Reason)
			}
			said := s.said(run.ID, ship.EventProgress)
			for _, want := range []string{"the node does not answer since", "waiting until", "the node answers again after"} {
				if strings.Count(said, want) != 1 {
					t.Errorf("%q is not said once:\n%s", want, said)
				}
			}
		})
	}
}

func TestTheWaitForANodeEndsWithTheTimeOfTheStep(t *testing.T) {
	s := newStage(t)
	steps := plan.Opening()
	steps[1].Timeout = 300 * time.Millisecond
	r := firstRelease(s)
	run, err := s.store.AddRun(t.Context(), ship.Request{Verb: ship.VerbDeploy, Environment: s.env, Release: r},
		ship.Plan{Schema: ship.PlanSchema, Environment: s.env.ID, Verb: ship.VerbDeploy, To: r, Steps: steps})
	if err != nil {
		t.Fatal(err)
	}
	s.platform.away, s.platform.failures = "prepare", 1<<20
	got := s.carry(run.ID)
	if got.Status != ship.Broken || got.Kind != ship.Failed || got.Schema != ship.SchemaUnchanged {
		t.Errorf("the run ended as %s (%s), schema %s", got.Status, got.Kind, got.Schema)
	}
	if !strings.Contains(got.Reason, "prepare did not end within 300ms") || !strings.Contains(got.Reason, "the node did not answer from") {
		t.Errorf("the reason is %q", got.Reason)
	}
}
