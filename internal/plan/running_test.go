package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestWhatRunsIsCountedByReleaseInstancesAndWorkers(t *testing.T) {
	v1, v2 := ship.Release{Number: 1}, ship.Release{Number: 2}
	web, worker := platform.Instance{Process: ship.Web, State: "running"}, platform.Instance{Process: "mail", State: "running"}
	ended, again := platform.Instance{Process: "mail", State: "exited"}, platform.Instance{Process: "clock", State: "backoff"}
	got := plan.Running(platform.Observation{Slots: map[ship.Slot]platform.SlotStatus{
		ship.Green: {Release: v2, Instances: []platform.Instance{web, ended, again}},
		ship.Blue:  {Release: v1, Instances: []platform.Instance{web, web, worker, {Process: "mail", State: "stopped"}}},
	}})
	want := []plan.Live{
		{Release: v1, Slot: ship.Blue, Instances: 2, Workers: 1},
		{Release: v2, Slot: ship.Green, Instances: 1, Workers: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("running (-want +got):\n%s", diff)
	}
	if text := got[0].String(); text != "2 instances and 1 worker of v1 run in blue" {
		t.Errorf("it says %q", text)
	}
	empty := plan.Running(platform.Observation{Slots: map[ship.Slot]platform.SlotStatus{ship.Blue: {Release: v1}}})
	if len(empty) != 0 {
		t.Errorf("in an empty slot runs %v", empty)
	}
}
