package main

import (
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// journal is one of a run with three steps, in milliseconds after t0.
func journal(t0 time.Time) wire.Journal {
	at := func(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }
	return wire.Journal{
		Run: ship.Run{ID: "r1", CreatedAt: at(100)},
		Entries: []ship.Entry{
			{Name: "prepare", State: ship.StepDone, StartedAt: at(110), EndedAt: at(150)},
			{Name: "health", State: ship.StepDone, StartedAt: at(155), EndedAt: at(255)},
			{Name: "shift", State: ship.StepDone, StartedAt: at(256), EndedAt: at(260)},
		},
	}
}

func TestEveryMomentOfADeploymentIsInOneLap(t *testing.T) {
	t0 := time.Now()
	all, err := laps(journal(t0), t0, t0.Add(300*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	var sum time.Duration
	for _, l := range all {
		sum += l.took
	}
	if sum != 300*time.Millisecond {
		t.Errorf("the laps sum up to %s, the deployment took 300ms: %v", sum, all)
	}
}

func TestTheApplicationsOwnTimeIsNotOurs(t *testing.T) {
	t0 := time.Now()
	deployed, err := laps(journal(t0), t0, t0.Add(300*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	var r treeReport
	r.add(deployed, []lap{
		{zipStored, 50 * time.Millisecond},
		{unzipStored, 40 * time.Millisecond},
		{sumStored, 10 * time.Millisecond},
		{syncStored, 100 * time.Millisecond},
		{zipDeflated, 400 * time.Millisecond},
	})
	if r.Overhead[0] != 200 {
		t.Errorf("the overhead is %v ms, want 300 less 100 of health", r.Overhead[0])
	}
	for i, want := range []float64{2, 1, 0.5} {
		if got := r.Ratios[i].Sample[0]; got != want {
			t.Errorf("to %s the ratio is %v, want %v", r.Ratios[i].Name, got, want)
		}
	}
}

func TestADeploymentThatFailedIsNoMeasurement(t *testing.T) {
	t0 := time.Now()
	j := journal(t0)
	j.Entries[2].State = ship.StepFailed
	if all, err := laps(j, t0, t0.Add(time.Second)); err == nil {
		t.Errorf("it was taken for %v", all)
	}
}
