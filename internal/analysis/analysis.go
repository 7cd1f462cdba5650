// Package analysis makes a verdict of counters. It is pure: it reads no clock,
// asks nobody and remembers only what it was shown. It knows how strong
// evidence is; it knows nothing of slots, proxies or how traffic is given back.
//
// The statistics are explained for users in docs/verdicts.md.
package analysis

import (
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Sample is all that is known since the watch began. The counts grow from
// sample to sample. It is taken at every error and every second; each look is
// as good as the last, so that there can be as many as one likes.
type Sample struct {
	At    time.Time `json:"at"`
	New   Counts    `json:"new"`             // the release that is watched
	Old   Counts    `json:"old,omitzero"`    // the one before, of the traffic it had beside the new one
	Share float64   `json:"share,omitempty"` // of the requests that go to the new release from now on; 0 means all of them
	Crowd Crowd     `json:"crowd,omitzero"`
	// Probes are health checks of the new release. A round over all its
	// instances counts once and is as good as its worst answer.
	Probes Probes `json:"probes,omitzero"`
	// Back are health checks of the old release, which say whether going back
	// would help. See [Judgement].Ask.
	Back Probes `json:"back,omitzero"`
	Hard Hard   `json:"hard,omitzero"`
}

// Counts are the requests a release had.
type Counts struct {
	Requests int64 `json:"requests"`           // that ended or were given up by us; not 499
	Errors   int64 `json:"errors"`             // of those: 5xx, no answer in time, an answer that broke off
	Counted  int64 `json:"counted,omitempty"`  // of Errors, those that [Clients] lets count
	Rejected int64 `json:"rejected,omitempty"` // 4xx but 499
	// Timed are the requests that ended or for which the limit of latency
	// passed; Slow, of those, where it passed, and every error, however quick:
	// else a fast 500 would improve latency. A request that hangs is slow as
	// soon as the limit has passed, not when it ends. What lasts (WebSocket,
	// event stream) is neither.
	Timed int64 `json:"timed,omitempty"`
	Slow  int64 `json:"slow,omitempty"`
	// Slower is Slow for [Bounds].Tau: what is slow in comparison with the old
	// release. Counted on both sides while traffic is split.
	Slower int64 `json:"slower,omitempty"`
	// Latency is for the report alone.
	Latency []Bucket `json:"latency,omitempty"`
}

// A Bucket counts latencies up to an edge and above the edge of the one before.
type Bucket struct {
	Upper time.Duration `json:"upper"`
	N     int64         `json:"n"`
}

// Probes count health checks.
type Probes struct {
	Sent    int64  `json:"sent"`
	Healthy int64  `json:"healthy"`
	Failing int    `json:"failing"`        // in a row, up to now
	Last    string `json:"last,omitempty"` // why the last one failed
}

// Hard is evidence that needs no statistics.
type Hard struct {
	Exits    []string      `json:"exits,omitempty"`    // how instances ended, a clause each: "web.1: exit code 1"
	Restarts int           `json:"restarts,omitempty"` // of instances, since the watch began
	Unready  time.Duration `json:"unready,omitempty"`  // for how long no health check has been good, up to now
	Refused  int64         `json:"refused,omitempty"`  // requests in a row that could not connect, up to now
}

// A Config is what a watch is begun with. It does not change.
type Config struct {
	Limits ship.Limits `json:"limits"`
	Began  time.Time   `json:"began"`
	New    string      `json:"new"`           // what people call the releases: "v42"
	Old    string      `json:"old,omitempty"` // "" when there is none
	// Before is what the old release did before the swap. It raises a limit
	// that the old release did not keep either.
	Before Before `json:"before,omitzero"`
	Split  bool   `json:"split,omitempty"`  // both releases have traffic for some of the time
	Sticky bool   `json:"sticky,omitempty"` // users stay with the release they came to
	Probes bool   `json:"probes,omitempty"` // the new release is probed
	Asks   bool   `json:"asks,omitempty"`   // the old release can be probed when asked to
	// NoWayBack says why traffic must not be given back, "" when it may:
	// evidence against the release then holds the run and calls a person.
	NoWayBack string `json:"no_way_back,omitempty"`
}

// Before counts what the old release did in the time before the swap.
type Before struct {
	Requests int64    `json:"requests"`
	Errors   int64    `json:"errors"`
	Latency  []Bucket `json:"latency,omitempty"`
}

// An Action is what a judgement asks of its caller.
type Action string

// The actions.
const (
	Nothing  Action = ""          // the watch goes on
	RollBack Action = "roll_back" // give traffic back to the old release, now
	Hold     Action = "hold"      // leave traffic where it is, and call a person
	Promote  Action = "promote"   // the watch is over, the new release stays
)

// A Judgement is what a watch thinks at a sample.
type Judgement struct {
	// Outcome is Wait while the watch goes on. Fail asks for a rollback, Pass is
	// proven health, NoConclusion is neither: never a pass.
	Outcome ship.Outcome `json:"outcome"`
	Action  Action       `json:"action,omitempty"`
	Reason  string       `json:"reason"`
	// Healthy tells that health is proven by now. Whoever waits for the
	// deployment may stop waiting; the watch goes on.
	Healthy bool `json:"healthy,omitempty"`
	// Quiet says what was seen where nothing speaks against the release and
	// there are too few requests to prove its health in time. Whoever waits for
	// the deployment may stop waiting here, too; the watch goes on.
	Quiet string `json:"quiet,omitempty"`
	// Ask wants a few health checks of the old release at once, in
	// [Sample].Back: a rollback that would not help is not made. Without an
	// answer within two seconds it is.
	Ask bool `json:"ask,omitempty"`
	// Alert is what a person has to hear though the watch goes on.
	Alert string `json:"alert,omitempty"`
	Test  string `json:"test,omitempty"` // that decided
	// Certainty that a limit is broken, 0 to 1; rollback is at the confidence
	// the limits name.
	Certainty float64   `json:"certainty"`
	More      int64     `json:"more,omitempty"` // about so many more requests would prove health, at the rate so far
	Until     time.Time `json:"until"`          // the watch ends
	At        time.Time `json:"at"`             // of the sample
}

// Ended tells that the watch is over.
func (j Judgement) Ended() bool { return j.Outcome != ship.Wait && j.Outcome != "" }

// Verdict returns the judgement as others know it.
func (j Judgement) Verdict() ship.Verdict {
	return ship.Verdict{Outcome: j.Outcome, Reason: j.Reason}
}
