package node

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/metrics"
	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// measured are the families of a node while they are gathered.
type measured struct {
	order []string
	by    map[string]*metrics.Family
}

// add adds a point to a family, which begins with its first one.
func (m *measured) add(f metrics.Family, p metrics.Point) {
	if m.by[f.Name] == nil {
		m.by[f.Name] = &f
		m.order = append(m.order, f.Name)
	}
	m.by[f.Name].Points = append(m.by[f.Name].Points, p)
}

func (m *measured) count(name, help string, labels, of []string, value int64) {
	m.add(metrics.Family{Name: name, Help: help, Kind: metrics.Counter, Labels: labels}, metrics.Point{Of: of, Value: float64(value)})
}

func (m *measured) gauge(name, help string, labels, of []string, value float64) {
	m.add(metrics.Family{Name: name, Help: help, Labels: labels}, metrics.Point{Of: of, Value: value})
}

// measure is what a node measures, for [metrics.Handler].
func (n *node) measure(ctx context.Context) []metrics.Family {
	m := &measured{by: map[string]*metrics.Family{}}
	now := n.proxies.status(ctx)
	m.programs(n.info())
	sums := n.proxies.traffic.sums()
	state := n.state.read()
	for _, key := range sortedKeys(state.Environments) {
		e := state.Environments[key]
		m.environment(e, now.Environments[key])
		for _, slot := range []ship.Slot{"", ship.Blue, ship.Green} {
			if t, ok := sums[place{key, slot}]; ok {
				m.traffic(e.ID, slot, t)
			}
		}
	}
	for _, e := range n.all() {
		m.watch(e)
	}
	families := make([]metrics.Family, 0, len(m.order))
	for _, name := range m.order {
		families = append(families, *m.by[name])
	}
	return families
}

// programs measures what the node itself consists of.
func (m *measured) programs(i Info) {
	m.gauge("shiplock_node_info", "The node that runs, by its version.", []string{"version"}, []string{i.Version}, 1)
	m.gauge("shiplock_node_start_time_seconds", "When the supervisor began, or became another program.", nil, nil, float64(i.Started.UnixMilli())/1000)
	serving := 0.0
	if i.Worker != 0 {
		serving = 1
	}
	const help = "Proxy workers that serve, and those that were relieved and whose last requests end."
	m.gauge("shiplock_proxy_workers", help, []string{"state"}, []string{"serving"}, serving)
	m.gauge("shiplock_proxy_workers", help, []string{"state"}, []string{"leaving"}, float64(len(i.Leaving)))
}

// showMetrics tells what is measured at the address that was asked for. A node
// that cannot do that serves all the same, and tries again.
func (n *node) showMetrics(ctx context.Context) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler(n.measure, n.Log))
	for n.Metrics != "" && ctx.Err() == nil {
		l, err := metrics.Listen(ctx, n.Metrics)
		if err == nil {
			err = metrics.Serve(ctx, l, mux)
		}
		if err != nil {
			n.Log.Error("the metrics cannot be read", "address", n.Metrics, "error", err)
		}
		pause(ctx, housekeeping)
	}
}

// traffic measures what was counted of a slot; that of no slot is the
// environment's.
func (m *measured) traffic(id ship.EnvironmentID, slot ship.Slot, t tallied) {
	if slot == "" {
		env, of := []string{"app", "environment"}, []string{id.App, id.Name}
		m.count("shiplock_requests_held_total", "Requests that waited for a change of release.", env, of, t.held)
		m.count("shiplock_requests_overflowed_total", "Requests sent away because too many waited or they waited too long.", env, of, t.overflowed)
		return
	}
	labels, of := []string{"app", "environment", "slot"}, []string{id.App, id.Name, string(slot)}
	c := t.counters
	for class, n := range c.Classes {
		name := "other"
		if class > 0 {
			name = strconv.Itoa(class) + "xx"
		}
		m.count("shiplock_requests_total", "Requests that ended, by the class of their answer; without an answer they are 5xx.",
			append(labels[:3:3], "class"), append(of[:3:3], name), n)
	}
	for kind, n := range map[string]int64{"no_answer": c.NoAnswer, "late": c.Late, "broken": c.Broken, "status": c.Errors - c.NoAnswer - c.Late - c.Broken} {
		m.count("shiplock_request_errors_total", "Failed requests: the application did not answer, not in time, broke off, or answered 5xx.",
			append(labels[:3:3], "kind"), append(of[:3:3], kind), n)
	}
	m.count("shiplock_requests_cut_total", "Requests cut at the deadline of a drain.", labels, of, c.Cut)
	m.count("shiplock_requests_aborted_total", "Requests whose client went away.", labels, of, c.Aborted)
	m.count("shiplock_requests_replayed_total", "Requests sent to another instance because one could not be reached.", labels, of, c.Replayed)
	m.count("shiplock_requests_slow_total", "Requests slower than the limit of the environment.", labels, of, c.Slow)
	m.add(metrics.Family{
		Name: "shiplock_request_duration_seconds", Kind: metrics.Histogram, Labels: labels,
		Help: "Whole answers of the application, from admission to the last byte. The sum is at most an eighth too high.",
	}, metrics.Point{Of: of, Buckets: buckets(c.Latency)})
}

func buckets(h proxy.Histogram) metrics.Buckets {
	var b metrics.Buckets
	b.Add(0, 0) // the bounds are there without a request, too
	h.Each(func(upTo time.Duration, n int64) { b.Add(upTo, uint64(max(n, 0))) })
	return b
}

// environment measures what is so now.
func (m *measured) environment(e *envState, now proxy.EnvironmentStatus) {
	env, of := []string{"app", "environment"}, []string{e.ID.App, e.ID.Name}
	m.gauge("shiplock_requests_waiting", "Requests that wait for a change of release.", env, of, float64(now.Waiting))
	m.gauge("shiplock_environment_epoch", "The epoch of the last claim.", env, of, float64(e.Epoch))
	if g := e.Grant; g != nil && failpoint.Now().Before(g.Until) {
		m.gauge("shiplock_environment_claimed", "Whether somebody may change the environment, and who.", append(env[:2:2], "holder"), append(of[:2:2], g.Claim.Holder), 1)
	}
	for _, slot := range []ship.Slot{ship.Blue, ship.Green} {
		if s := e.Slots[slot]; s != nil {
			m.slot(e, slot, s, now)
		}
	}
	for protocol, ending := range e.Told.Protocols {
		for fate, n := range map[string]int64{"drained": ending.Drained, "closed": ending.Closed, "cut": ending.Cut} {
			m.gauge("shiplock_last_swap_requests", "What became of the requests under way at the last swap, by protocol.",
				append(env[:2:2], "protocol", "fate"), append(of[:2:2], string(protocol), fate), float64(n))
		}
	}
}

func (m *measured) slot(e *envState, slot ship.Slot, s *slotState, now proxy.EnvironmentStatus) {
	labels, of := []string{"app", "environment", "slot"}, []string{e.ID.App, e.ID.Name, string(slot)}
	active := 0.0
	if e.Active == slot {
		active = 1
	}
	m.gauge("shiplock_slot_active", "Whether the slot gets the requests.", append(labels[:3:3], "release"), append(of[:3:3], strconv.Itoa(s.Spec.Release.Number)), active)
	g := now.Generations[s.Generation]
	m.gauge("shiplock_requests_in_flight", "Requests under way, streams among them.", labels, of, float64(g.InFlight))
	m.gauge("shiplock_streams_open", "WebSockets and event streams under way.", labels, of, float64(g.Lasting))
	for _, id := range sortedKeys(s.Instances) {
		i := s.Instances[id]
		one := append(of[:3:3], i.Process, strconv.Itoa(i.Number))
		instance := append(labels[:3:3], "process", "number")
		up := 0.0
		if i.State == stateRunning {
			up = 1
		}
		m.gauge("shiplock_instance_up", "Whether the instance runs.", instance, one, up)
		m.count("shiplock_instance_restarts_total", "How often the instance ended by itself.", instance, one, int64(i.Restarts))
	}
}

// watch measures the evidence of a watch that goes on.
func (m *measured) watch(e *environment) {
	s := e.now()
	if s == nil || !s.Watch.waits() {
		return
	}
	ev, ok, err := e.judged(s.Watch)
	if err != nil || !ok {
		return
	}
	m.evidence(e.id, ev.Tests)
}

func (m *measured) evidence(id ship.EnvironmentID, tests []analysis.Test) {
	labels, of := []string{"app", "environment", "test"}, []string{id.App, id.Name}
	for _, t := range tests {
		one := append(of[:2:2], t.Name)
		m.gauge("shiplock_watch_evidence_ratio", "Evidence that a limit is broken, as a ratio of chances (e-value).", labels, one, t.E)
		m.gauge("shiplock_watch_rollback_ratio", "The evidence at which the release is taken back.", labels, one, t.Line)
		m.gauge("shiplock_watch_trials", "What the evidence rests on.", labels, one, float64(t.Trials))
		m.gauge("shiplock_watch_marked", "Of the trials, those that failed or were slow.", labels, one, float64(t.Marked))
	}
}
