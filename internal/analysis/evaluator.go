package analysis

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

const (
	minMarked     = 3  // marked events below which no statistics roll back
	healthyE      = 20 // evidence that proves health: wrong in one of twenty
	besideE       = 20 // evidence against the comparison, besides that against the limit
	hardRefused   = 3
	hardRestarts  = 2
	hardUnready   = 5 * time.Second
	warmupRequest = 200

	epochTime     = 30 * time.Second
	epochRequests = 500
	epochLeast    = time.Second
)

// An Evaluator judges a release that has just begun to serve. It is fed with
// samples and holds nothing but numbers: as JSON it moves to another process,
// which goes on where this one ended. It is not safe for concurrent use.
type Evaluator struct {
	cfg    Config
	bounds Bounds
	st     state
	trail  trail
}

// state is all that a sample changes.
type state struct {
	Last    Sample         `json:"last"` // without latencies
	Seen    bool           `json:"seen"`
	Streams [kinds]stream  `json:"streams"`
	Warm    *Counts        `json:"warm,omitempty"` // of the new release when latency began to be judged
	Clock   clock          `json:"clock"`
	Epoch   epoch          `json:"epoch"`
	Resets  int            `json:"resets,omitempty"` // times evidence was put down to a shared cause
	Asking  *asking        `json:"asking,omitempty"`
	NextAsk time.Time      `json:"next_ask,omitzero"`
	Alert   string         `json:"alert,omitempty"`
	Healthy time.Time      `json:"healthy,omitzero"` // health was proven first
	Longer  bool           `json:"longer,omitempty"` // the watch was extended
	Beside  [kinds]pending `json:"beside"`           // sticky traffic: not yet judged
	Tick    tick           `json:"tick,omitzero"`
	Moments []Moment       `json:"moments,omitempty"`
	Ended   *Judgement     `json:"ended,omitempty"`
}

type epoch struct {
	At       time.Time `json:"at"`
	Requests int64     `json:"requests"`
}

// New returns an evaluator for a watch that begins.
func New(c Config) *Evaluator {
	e := &Evaluator{cfg: c, bounds: c.Bounds()}
	e.st.Epoch.At = c.Began
	return e
}

// Bounds returns what the release is held to.
func (e *Evaluator) Bounds() Bounds { return e.bounds }

// Config returns what the watch was begun with.
func (e *Evaluator) Config() Config { return e.cfg }

// saved is an Evaluator as JSON.
type saved struct {
	Config Config `json:"config"`
	State  state  `json:"state"`
	Trail  trail  `json:"trail"`
}

// MarshalJSON writes all the evaluator knows.
func (e *Evaluator) MarshalJSON() ([]byte, error) {
	return json.Marshal(saved{e.cfg, e.st, e.trail})
}

// UnmarshalJSON takes up what another evaluator wrote.
func (e *Evaluator) UnmarshalJSON(data []byte) error {
	var s saved
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("read the evidence: %w", err)
	}
	*e = Evaluator{cfg: s.Config, bounds: s.Config.Bounds(), st: s.State, trail: s.Trail}
	return nil
}

// Observe takes a sample and says what it thinks. Once it has ended, the
// judgement stays what it was.
func (e *Evaluator) Observe(s Sample) Judgement {
	j := e.Look(s)
	if j.Outcome == ship.Wait && j.Reason == "" {
		j.More = e.more(e.st.Last)
		j.Reason = e.soFar(e.st.Last) + "; " + e.outlook(j, e.st.Last) + "; " + max(j.Until.Sub(j.At), 0).Round(time.Second).String() + " left"
	}
	return j
}

// Look is Observe without words while there is nothing to say.
func (e *Evaluator) Look(s Sample) Judgement {
	if e.st.Ended != nil {
		return *e.st.Ended
	}
	s = e.steady(s.sane(e.st.Last))
	before := e.st.marks()
	notable := e.advance(s)
	j := e.judge(s)
	j.At, j.Until = e.st.Clock.Last, j.Until.Add(e.st.Clock.Ahead)
	notable = e.boundary(s) || notable || e.st.marks() != before
	if j.Ended() {
		e.st.Ended = &j
		e.moment(s.At, decided(j)+e.soFar(s))
	}
	e.trail.record(s, e.st, notable || j.Ended() || j.Ask)
	return j
}

// until is when the watch ends.
func (e *Evaluator) until() time.Time {
	if e.st.Longer {
		return e.cfg.Began.Add(e.cfg.Limits.Longest())
	}
	return e.cfg.Began.Add(e.cfg.Limits.For)
}

// line is the logarithm of the evidence that rolls back. The chance of being
// wrong is shared by all tests, so that together they keep the promise.
func (e *Evaluator) line(k kind) float64 {
	line := math.Log(float64(e.tests())) - math.Log(1-confidence(e.cfg.Limits))
	line += float64(e.st.Resets) * math.Ln2
	if k == errorsKind && e.bounds.OldErrors || k == slowKind && e.bounds.OldP95 {
		line += math.Ln2 // half of it was spent on the bound
	}
	return line
}

// log is the logarithm of the evidence of a test. In a crowd, where one client
// has up to three errors counted, it takes one more than that.
func (e *Evaluator) log(k kind) float64 {
	least := int64(minMarked)
	if k != probesKind && e.st.Last.Crowd.Capping {
		least = burstCap + 1
	}
	return e.st.Streams[k].log(least)
}

// tests is how many there are that may roll back.
func (e *Evaluator) tests() int {
	n := 0
	for k := range kinds {
		if e.runs(k) {
			n++
		}
	}
	return max(n, 1)
}

func (e *Evaluator) runs(k kind) bool {
	switch k {
	case errorsKind:
		return e.bounds.ErrorRate > 0
	case slowKind:
		return e.bounds.P95 > 0
	case slowBesideKind:
		return e.cfg.Split && e.bounds.Tau > 0
	case errorsBesideKind, rejectedBesideKind:
		return e.cfg.Split
	case probesKind:
		return e.cfg.Probes
	}
	return false
}

// judge looks at the evidence as it stands.
func (e *Evaluator) judge(s Sample) Judgement {
	j := Judgement{Outcome: ship.Wait, At: s.At, Alert: e.st.Alert}
	if why := hard(s.Hard); why != "" {
		return e.against(j, "", why)
	}
	k, certainty := e.crossed(s)
	j.Certainty = certainty
	if k != none {
		return e.crossedAt(j, s, k)
	}
	e.st.Asking = nil
	if e.st.Alert != "" && s.At.After(e.st.NextAsk.Add(epochTime)) {
		e.st.Alert, j.Alert = "", ""
		e.moment(s.At, "the shared cause seems to be over")
	}
	e.prove(s)
	j.Healthy = !e.st.Healthy.IsZero()
	j.Quiet = e.quiet(j, s)
	return e.atTheEnd(j, s)
}

// hard says what is wrong without any statistics.
func hard(h Hard) string {
	switch {
	case len(h.Exits) > 0:
		return "an instance ended: " + joined(h.Exits)
	case h.Restarts >= hardRestarts:
		return fmt.Sprintf("instances were restarted %d times", h.Restarts)
	case h.Unready > hardUnready:
		return fmt.Sprintf("no health check was good for %s", short(h.Unready))
	case h.Refused >= hardRefused:
		return fmt.Sprintf("%d requests in a row could not connect", h.Refused)
	}
	return ""
}

// crossed returns the test whose evidence is enough to roll back, and how
// certain the strongest one is.
func (e *Evaluator) crossed(s Sample) (kind, float64) {
	found, certainty := none, 0.0
	for k := range kinds {
		if !e.runs(k) {
			continue
		}
		log := e.log(k)
		line := e.line(k)
		beside := besides[k]
		both := !s.split() || beside == none || !e.runs(beside) || e.log(beside) >= math.Log(besideE)
		alone := k != errorsBesideKind && k != slowBesideKind || !e.runs(limits[k])
		if !alone {
			continue
		}
		sure := 1 - math.Exp(-(log-line))*(1-confidence(e.cfg.Limits))
		certainty = max(certainty, min(sure, 1))
		if log >= line && both && found == none {
			found = k
		}
	}
	return found, certainty
}

// decided names the end of a watch in its timeline.
func decided(j Judgement) string {
	switch j.Action {
	case RollBack:
		return "rolled back: "
	case Hold:
		return "held: "
	case Promote, Nothing:
	}
	if j.Outcome == ship.Pass {
		return "healthy, proven: "
	}
	return "promoted, not proven: "
}

// against is a judgement against the release.
func (e *Evaluator) against(j Judgement, test, why string) Judgement {
	j.Test, j.Until = test, e.until()
	why = strings.TrimSuffix(why, ".") // others go on with it
	if e.cfg.NoWayBack != "" {
		j.Outcome, j.Action = ship.NoConclusion, Hold
		j.Reason = why + "; traffic was not given back: " + e.cfg.NoWayBack
		j.Alert = j.Reason
		return j
	}
	j.Outcome, j.Action, j.Reason = ship.Fail, RollBack, why
	j.Healthy, j.Alert = false, ""
	return j
}
