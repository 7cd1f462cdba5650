package node

import (
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/metrics"
	"github.com/shiplock/shiplock/internal/metrics/metricstest"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// busy measures a node on which everything there is to measure happens.
func busy(t *testing.T) []metrics.Family {
	t.Helper()
	id := ship.EnvironmentID{App: "shop", Name: "production"}
	e := &envState{
		ID: id, Epoch: 3, Active: ship.Green, Grant: &grant{Claim: ship.Claim{Holder: "ada"}, Until: time.Now().Add(time.Hour)},
		Slots: map[ship.Slot]*slotState{ship.Green: {
			Generation: "g", Spec: platform.Spec{Release: ship.Release{Number: 2}},
			Instances: map[string]*instanceState{"green.web.1": {Process: ship.Web, Number: 1, State: stateRunning, Restarts: 2}},
		}},
		Told: ship.Receipt{Protocols: map[ship.Protocol]ship.Ending{ship.WebSocket: {Drained: 1, Closed: 2, Cut: 3}}},
	}
	m := &measured{by: map[string]*metrics.Family{}}
	m.programs(Info{Version: "v1", Started: time.Now(), Worker: 2, Leaving: []int{1}})
	m.evidence(id, []analysis.Test{{Name: "errors", Trials: 10, Marked: 1, E: 3, Line: 20}})
	m.environment(e, proxy.EnvironmentStatus{Waiting: 4, Generations: map[string]proxy.GenerationStatus{"g": {InFlight: 5, Lasting: 1}}})
	c := proxy.Counters{Requests: 10, Errors: 1, Latency: make(proxy.Histogram, 200)}
	c.Classes[2], c.Classes[5], c.Latency[100] = 9, 1, 10
	m.traffic(id, ship.Green, tallied{slot: ship.Green, counters: c})
	m.traffic(id, "", tallied{held: 7, overflowed: 1})
	var all []metrics.Family
	for _, name := range m.order {
		all = append(all, *m.by[name])
	}
	return all
}

func TestWhatANodeMeasuresIsNamedAsPrometheusWantsIt(t *testing.T) {
	g, err := metrics.Gatherer(busy(t))
	if err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.GatherAndLint(g)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	n, err := testutil.GatherAndCount(g, "shiplock_requests_total", "shiplock_request_duration_seconds", "shiplock_instance_restarts_total", "shiplock_environment_claimed")
	if err != nil || n != 6+1+1+1 {
		t.Errorf("%d measurements, %v", n, err)
	}
}

// A measurement is named in the source, measured here, and in the document.
func TestEveryMeasurementOfANodeIsDocumented(t *testing.T) {
	families := busy(t)
	metricstest.Documented(t, "../../docs/operations.md", "Of the node", families)
	source, err := os.ReadFile("metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`"(shiplock_\w+)"`).FindAllStringSubmatch(string(source), -1) {
		if !slices.ContainsFunc(families, func(f metrics.Family) bool { return f.Name == name[1] }) {
			t.Errorf("%s is not measured by this test", name[1])
		}
	}
}

func TestSumsOnlyGrowThroughWorkersAndGenerations(t *testing.T) {
	said := func(pid int, requests map[string]int64) proxy.Status {
		env := proxy.EnvironmentStatus{Held: 1, Generations: map[string]proxy.GenerationStatus{}}
		for name, n := range requests {
			env.Generations[name] = proxy.GenerationStatus{Slot: ship.Blue, Counters: proxy.Counters{Requests: n}}
		}
		return proxy.Status{PID: pid, Started: time.Unix(int64(pid), 0), Environments: map[string]proxy.EnvironmentStatus{"shop/production": env}}
	}
	var m meter
	at := place{"shop/production", ship.Blue}
	for _, step := range []struct {
		what string
		do   func()
		want int64
	}{
		{"a worker counts", func() { m.add(said(1, map[string]int64{"a": 5})) }, 5},
		{"the same said again", func() { m.add(said(1, map[string]int64{"a": 5})) }, 5},
		{"another worker beside it", func() { m.add(said(2, map[string]int64{"a": 3})) }, 8},
		{"its last word", func() { m.add(said(1, map[string]int64{"a": 6})); m.end(1) }, 9},
		{"the generation is forgotten, another one begins", func() { m.add(said(2, map[string]int64{"b": 1})) }, 10},
		{"the process id comes again", func() { m.end(2); m.add(said(2, map[string]int64{"b": 1})) }, 11},
	} {
		step.do()
		if got := m.sums()[at].counters.Requests; got != step.want {
			t.Errorf("%s: %d requests, want %d", step.what, got, step.want)
		}
	}
	if got := m.sums()[place{env: "shop/production"}].held; got != 3 {
		t.Errorf("%d held, want 3", got)
	}
}

func TestOfManyLatchedRunsTheLastAreKept(t *testing.T) {
	e := &envState{Latched: map[string]string{"before": "without an order"}}
	name := func(i int) string {
		return "d-" + string(rune('0'+i/100)) + string(rune('0'+i/10%10)) + string(rune('0'+i%10))
	}
	for i := range 250 {
		e.latch(name(i), "why")
	}
	if len(e.Latched) != maxLatched || len(e.LatchedLast) != maxLatched {
		t.Errorf("%d runs are latched, %d in order", len(e.Latched), len(e.LatchedLast))
	}
	if e.Latched[name(249)] == "" || e.Latched[name(150)] == "" || e.Latched[name(149)] != "" || e.Latched["before"] != "" {
		t.Error("not the last ones are kept")
	}
}
