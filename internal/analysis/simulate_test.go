package analysis_test

import (
	"slices"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/analysis/simulate"
	"github.com/shiplock/shiplock/internal/ship"
)

// limits are those of the promise: errors of at most 1 %.
var limits = ship.Limits{For: 5 * time.Minute, ErrorRate: 0.01, Confidence: 0.999, OnInconclusive: ship.PromoteAnyway}

// runs simulates a scenario many times and returns the runs that rolled back.
func runs(times int, sc simulate.Scenario) (back []simulate.Result) {
	for seed := range times {
		if r := simulate.Run(uint64(seed), sc); r.Back() {
			back = append(back, r)
		}
	}
	return back
}

func median(results []simulate.Result, of func(simulate.Result) int64) int64 {
	var values []int64
	for _, r := range results {
		values = append(values, of(r))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func failed(r simulate.Result) int64   { return r.Failed }
func requests(r simulate.Result) int64 { return r.Requests }

func TestFewRequestsFailBeforeABadReleaseIsTakenBack(t *testing.T) {
	tests := []struct {
		name   string
		sc     simulate.Scenario
		failed int64
	}{
		{"5 % fail", simulate.Scenario{Limits: limits, Rate: 100, Fails: 0.05}, 15},
		{"all fail", simulate.Scenario{Limits: limits, Rate: 100, Fails: 1}, 4},
		{"5 % fail, one address", simulate.Scenario{Limits: limits, Rate: 100, Fails: 0.05, Clients: 1}, 15},
		{"all fail, one address", simulate.Scenario{Limits: limits, Rate: 100, Fails: 1, Clients: 1}, 4},
		{"5 % fail, a crowd", simulate.Scenario{Limits: limits, Rate: 100, Fails: 0.05, Clients: 1000}, 15},
		{"all fail, a crowd", simulate.Scenario{Limits: limits, Rate: 100, Fails: 1, Clients: 1000}, 4},
	}
	const times = 500
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			back := runs(times, tt.sc)
			if len(back) != times {
				t.Fatalf("%d of %d runs were taken back, want all", len(back), times)
			}
			got := median(back, failed)
			t.Logf("%d requests, %d failed", median(back, requests), got)
			if got > tt.failed {
				t.Errorf("the median of failed requests is %d, want at most %d", got, tt.failed)
			}
		})
	}
}

func TestAGoodReleaseIsHardlyEverTakenBack(t *testing.T) {
	const times = 2000
	back := runs(times, simulate.Scenario{Limits: limits, Rate: 20, Fails: 0.005})
	t.Logf("%d of %d", len(back), times)
	if 1000*len(back) > times {
		t.Errorf("%d of %d runs at half the limit were taken back, want at most 0.1 %%", len(back), times)
	}
}

func TestARegressionAfterALongGoodTimeIsFoundSoon(t *testing.T) {
	l := limits
	l.For = 2 * time.Hour
	back := runs(60, simulate.Scenario{Limits: l, Rate: 100, Good: 100_000, Fine: 0.005, Fails: 0.05})
	if len(back) != 60 {
		t.Fatalf("%d of 60 runs were taken back, want all", len(back))
	}
	got := median(back, requests)
	t.Logf("%d requests, %d failed", got, median(back, failed))
	if got > 600 {
		t.Errorf("the median delay is %d requests, want at most 600", got)
	}
}
