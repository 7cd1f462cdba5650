package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// saveEvery is how often the evidence is written while a watch goes on. What
// the proxy counted meanwhile is not lost with the node: the worker lives on.
const saveEvery = 2 * time.Second

// A witness is what a guard has seen, as it moves from node to node.
type witness struct {
	Run       string              `json:"run"`
	Began     time.Time           `json:"began"`
	Evaluator *analysis.Evaluator `json:"evaluator"`
	Counted   counting            `json:"counted"`
	Probes    analysis.Probes     `json:"probes"`
	Back      analysis.Probes     `json:"back"`
	Good      []string            `json:"good,omitempty"` // paths that the old release answered when the watch began
	Failures  []proxy.Failure     `json:"failures,omitempty"`
	After     string              `json:"after,omitempty"`
}

// counting is what each worker of the proxy said of each generation last. Each
// begins at zero, and two are alive during an upgrade.
type counting map[string]map[string]proxy.Counters // by worker and generation

func (c counting) add(worker time.Time, env proxy.EnvironmentStatus) {
	key := worker.UTC().Format(time.RFC3339Nano)
	if c[key] == nil {
		c[key] = map[string]proxy.Counters{}
	}
	for name, g := range env.Generations {
		c[key][name] = g.Counters
	}
}

func (w *witness) add(t proxy.Traffic, id ship.EnvironmentID) {
	if t.PID != 0 {
		w.Counted.add(t.Started, t.Environment)
	}
	for _, s := range t.Others {
		w.Counted.add(s.Started, s.Environments[id.String()])
	}
}

// since is what a generation counted beyond base.
func (w *witness) since(base map[string]proxy.Counters, generation string) proxy.Counters {
	var sum proxy.Counters
	for _, worker := range w.Counted {
		sum = sum.Plus(worker[generation])
	}
	return sum.Since(base[generation])
}

// counts is what the evaluator wants to know.
func counts(c proxy.Counters) analysis.Counts {
	return analysis.Counts{
		Requests: c.Requests, Errors: c.Errors, Counted: c.Counted, Rejected: c.Classes[4],
		Timed: c.Timed, Slow: c.Slow, Slower: c.Slower, Latency: c.Latency.Buckets(),
	}
}

func (e *environment) witnessPath() string { return filepath.Join(e.dir, "watch.json") }

// readWitness reads the evidence of the last watch; it is empty when there is
// none.
func (e *environment) readWitness() (witness, error) {
	var w witness
	data, err := os.ReadFile(e.witnessPath())
	if errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &w)
	}
	if err != nil {
		return witness{}, fmt.Errorf("read evidence: %w", err)
	}
	if w.Counted == nil {
		w.Counted = counting{}
	}
	return w, nil
}

// save writes the evidence.
func (g *guard) save() {
	g.mu.Lock()
	g.seen.Evaluator = g.judge
	data, err := json.Marshal(g.seen)
	g.mu.Unlock()
	g.saved = time.Now()
	if err == nil {
		err = atomicfile.Write(g.e.witnessPath(), data, 0o600)
	}
	if err != nil {
		g.e.complain("the evidence of a watch was not written", err)
	}
}

// failing are the paths of requests that failed, which can be asked again.
func (g *guard) failing() map[string]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	paths := map[string]bool{}
	for _, f := range g.seen.Failures {
		paths[f.Path] = true
	}
	return paths
}

// evidence is what the witness can show.
func (w *witness) evidence() analysis.Evidence {
	ev := w.Evaluator.Evidence()
	ev.After = w.After
	for _, f := range w.Failures {
		ev.Failures = append(ev.Failures, analysis.Failure{At: f.At, Method: f.Method, Path: f.Path, Status: f.Status, Took: f.Took, Why: f.Cause})
	}
	return ev
}

// evidence carries out platform.Witness.
func (e *environment) evidence(ctx context.Context, seconds int) (platform.Evidence, error) {
	out := platform.Evidence{Slots: map[ship.Slot][]platform.TrafficCount{}}
	s := e.now()
	if s == nil {
		return out, nil
	}
	t := e.n.proxies.look(ctx, proxy.Query{Environment: e.id, Seconds: seconds})
	for name, slot := range s.Slots {
		for _, c := range t.Seconds[slot.Generation] {
			one := platform.TrafficCount{At: time.Unix(c.At, 0).UTC(), Requests: c.Requests, Errors: c.Errors, Slow: c.Slow}
			if c.Requests > 0 {
				one.Mean = time.Duration(c.Micros/c.Requests) * time.Microsecond
			}
			out.Slots[name] = append(out.Slots[name], one)
		}
	}
	if s.Watch == nil {
		return out, nil
	}
	ev, ok, err := e.judged(s.Watch)
	if err != nil || !ok {
		return out, err
	}
	out.Run = s.Watch.Run
	out.Judged, err = json.Marshal(ev)
	return out, err
}

// judged returns the evidence of a watch, from the guard that knows it or from
// what the last one left.
func (e *environment) judged(w *watchState) (analysis.Evidence, bool, error) {
	if g := e.guarding.Load(); g != nil && g.w.Began.Equal(w.Began) {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.seen.evidence(), true, nil
	}
	left, err := e.readWitness()
	if err != nil || left.Evaluator == nil || !left.Began.Equal(w.Began) {
		return analysis.Evidence{}, false, err
	}
	return left.evidence(), true, nil
}

// reason is how a watch stands, in a sentence.
func (e *environment) standing(w *watchState) ship.Verdict {
	g := e.guarding.Load()
	if !w.waits() || g == nil || !g.w.Began.Equal(w.Began) {
		return w.Verdict
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.last.Reason == "" || g.last.Ended() {
		return w.Verdict
	}
	return g.last.Verdict()
}
