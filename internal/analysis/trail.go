package analysis

import (
	"math"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

const (
	trailEvery = time.Second
	trailHalf  = 300 // samples
	maxMoments = 100
)

// A Moment is a line of the timeline.
type Moment struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

func (e *Evaluator) moment(at time.Time, text string) {
	if len(e.st.Moments) < maxMoments {
		e.st.Moments = append(e.st.Moments, Moment{at, text})
	}
}

// trail holds the samples that lead to a judgement: one a second, and each with
// which something began or ended. It keeps the last 300 to 600 of them and the
// state they begin with, so that the judgement can be made again.
type trail struct {
	Start   *state   `json:"start,omitempty"` // before Samples; nil is the beginning of the watch
	Middle  *state   `json:"middle,omitempty"`
	Samples []Sample `json:"samples,omitempty"`
}

// marks are what a sample may begin or end: such a sample has to be kept.
type marks struct {
	resets  int
	asking  bool
	alert   string
	healthy time.Time
	longer  bool
}

func (s *state) marks() marks {
	return marks{s.Resets, s.Asking != nil, s.Alert, s.Healthy, s.Longer}
}

// record keeps the sample. after is the state that came of it.
func (t *trail) record(s Sample, after state, notable bool) {
	if n := len(t.Samples); n > 0 && !notable && s.At.Sub(t.Samples[n-1].At) < trailEvery {
		return
	}
	if !notable || after.Ended == nil {
		s.New.Latency, s.Old.Latency = nil, nil
	}
	t.Samples = append(t.Samples, s)
	switch len(t.Samples) {
	case trailHalf:
		middle := after.clone()
		t.Middle = &middle
	case 2 * trailHalf:
		t.Samples = append([]Sample(nil), t.Samples[trailHalf:]...)
		middle := after.clone()
		t.Start, t.Middle = t.Middle, &middle
	}
}

// clone copies what a later sample would change.
func (s state) clone() state {
	for i := range s.Streams {
		s.Streams[i].Copies = append([]later(nil), s.Streams[i].Copies...)
	}
	s.Moments = append([]Moment(nil), s.Moments...)
	if s.Warm != nil {
		warm := *s.Warm
		s.Warm = &warm
	}
	if s.Asking != nil {
		asking := *s.Asking
		s.Asking = &asking
	}
	return s
}

// Evidence is what a judgement was made of, for a report and to make it again.
type Evidence struct {
	Schema    int       `json:"schema"`
	Config    Config    `json:"config"`
	Bounds    Bounds    `json:"bounds"`
	Judgement Judgement `json:"judgement"`
	Last      Sample    `json:"last"`
	Tests     []Test    `json:"tests"`
	Moments   []Moment  `json:"moments,omitempty"`
	Trail     trail     `json:"trail"`
	// Failures are some of the requests that failed, which whoever saw them adds.
	Failures []Failure `json:"failures,omitempty"`
	// After says how the old release did once traffic was given back.
	After string `json:"after,omitempty"`
}

// EvidenceSchema is the version of [Evidence] this program writes.
const EvidenceSchema = 1

// A Failure is a request that failed. It has no body and no query, which may
// hold what is nobody's business.
type Failure struct {
	At     time.Time     `json:"at"`
	Method string        `json:"method"`
	Path   string        `json:"path"`             // without the query
	Status int           `json:"status,omitempty"` // 0: no answer
	Took   time.Duration `json:"took"`
	Why    string        `json:"why,omitempty"` // "connection refused", "no answer in 30s"
}

// A Test is one of the tests as it stood.
type Test struct {
	Name     string   `json:"name"`
	Marked   int64    `json:"marked"` // S
	Trials   int64    `json:"trials"` // n
	Limit    float64  `json:"limit"`  // chance the test holds S of n against
	Interval Interval `json:"interval"`
	E        float64  `json:"e"`    // evidence that it is above
	Line     float64  `json:"line"` // E that rolls back
	// Healthy is the evidence that it is below; at HealthyLine health is proven.
	// 0 where nothing is to be proven.
	Healthy     float64 `json:"healthy,omitempty"`
	HealthyLine float64 `json:"healthy_line,omitempty"`
}

// Evidence returns all that the judgement rests on.
func (e *Evaluator) Evidence() Evidence {
	ev := Evidence{
		Schema: EvidenceSchema, Config: e.cfg, Bounds: e.bounds, Last: e.st.Last,
		Moments: append([]Moment(nil), e.st.Moments...), Trail: e.trail,
	}
	ev.Trail.Samples = append([]Sample(nil), e.trail.Samples...)
	n := len(ev.Trail.Samples)
	if e.st.Ended == nil && e.st.Seen && (n == 0 || !ev.Trail.Samples[n-1].At.After(e.st.Last.At)) {
		ev.Trail.Samples = append(ev.Trail.Samples, e.st.Last)
		n++
	}
	if n > 0 {
		ev.Last.New.Latency = ev.Trail.Samples[n-1].New.Latency
	}
	if e.st.Ended != nil {
		ev.Judgement = *e.st.Ended
	} else {
		ev.Judgement = Judgement{Outcome: ship.Wait, Until: e.until().Add(e.st.Clock.Ahead), At: e.st.Clock.Last, Alert: e.st.Alert, Healthy: !e.st.Healthy.IsZero()}
	}
	for k := range kinds {
		if e.runs(k) {
			ev.Tests = append(ev.Tests, e.test(k))
		}
	}
	return ev
}

func (e *Evaluator) test(k kind) Test {
	st := &e.st.Streams[k]
	t := Test{
		Name: k.String(), Marked: st.Marked, Trials: st.Trials,
		Interval: RateInterval(st.Marked, st.Trials, 0.95),
		E:        evidence(e.log(k)), Line: math.Exp(e.line(k)),
	}
	l := e.st.Last
	switch k {
	case errorsKind:
		t.Limit, t.HealthyLine = e.bounds.ErrorRate, healthyE
		t.Healthy = Better(l.New.Errors, l.New.Requests, e.cfg.Limits.ErrorRate)
	case slowKind:
		slow, n := e.timed(l)
		t.Limit, t.HealthyLine, t.Healthy = slowShare, healthyE, Better(slow, n, slowShare)
	case probesKind:
		t.Limit = probeRate
	default:
		share := l.share()
		t.Limit = ratios[k] * share / (ratios[k]*share + 1 - share)
	}
	return t
}

// Replay makes the judgement again from the samples that were recorded.
func Replay(ev Evidence) Evidence {
	e := New(ev.Config)
	if ev.Trail.Start != nil {
		e.st = ev.Trail.Start.clone()
		e.st.Clock = clock{Last: e.st.Last.At} // samples are kept with the time of the watch
	}
	for _, s := range ev.Trail.Samples {
		e.Observe(s)
	}
	again := e.Evidence()
	again.Failures, again.After = ev.Failures, ev.After
	return again
}

// Agrees tells whether the other evidence is of the same judgement, and of the
// same numbers.
func (ev Evidence) Agrees(other Evidence) bool {
	a, b := ev.Judgement, other.Judgement
	if a.Outcome != b.Outcome || a.Action != b.Action || a.Reason != b.Reason || a.Test != b.Test || len(ev.Tests) != len(other.Tests) {
		return false
	}
	for i, t := range ev.Tests {
		o := other.Tests[i]
		if t.Name != o.Name || t.Marked != o.Marked || t.Trials != o.Trials || math.Abs(math.Log(t.E/o.E)) > 1e-6 {
			return false
		}
	}
	return true
}
