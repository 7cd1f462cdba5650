// Package ship holds the nouns of shiplock: plain data that every other
// package may import. It imports only the standard library, does no input or
// output, and knows nothing of how a release is run, stored or shown.
package ship

import (
	"encoding/json"
	"time"
)

// An EnvironmentID names one environment of one app.
type EnvironmentID struct {
	App  string `json:"app"`
	Name string `json:"name"`
}

// String returns "app/name".
func (id EnvironmentID) String() string { return id.App + "/" + id.Name }

// A Value is a setting that may contain references such as ${secret:NAME} or
// ${env:NAME}. It is safe to store, print and compare: what a reference stands
// for is looked up as late as possible and held in a [Secret].
type Value string

// Argv is a command: the program and its arguments, already split. $VAR and
// ${VAR} in a word are replaced from the environment the command runs in, and
// the result stays one word; no shell ever sees it.
type Argv []string

// An Artifact is an immutable packed tree, named by the SHA-256 of its bytes.
type Artifact struct {
	Digest string `json:"digest"` // "sha256:" and 64 hexadecimal digits
	Size   int64  `json:"size"`   // bytes of the zip
	Files  int    `json:"files"`
	Commit string `json:"commit,omitempty"` // of the tree it was packed from, "" when unknown
	Dirty  bool   `json:"dirty,omitempty"`  // the tree had uncommitted changes
}

// A Release is one artifact together with the migrations it carries. A
// Release never changes; a change is a new Release. Number counts from 1
// within its app.
type Release struct {
	App        string      `json:"app"`
	Number     int         `json:"number"`
	Artifact   Artifact    `json:"artifact"`
	Migrations []Migration `json:"migrations,omitempty"`
	CreatedAt  time.Time   `json:"created_at"`
	CreatedBy  string      `json:"created_by,omitempty"`
}

// A Slot is a place in an environment for one running release.
type Slot string

// The two slots of an environment.
const (
	Blue  Slot = "blue"
	Green Slot = "green"
)

// Other returns the slot that s is not. The other of "" is [Blue].
func (s Slot) Other() Slot {
	if s == Blue {
		return Green
	}
	return Blue
}

// A Fence travels with every change to a node, a proxy or a target database.
// Whoever receives one refuses it when it has seen a higher Epoch for the same
// environment, so that a deployer that lost its lock can change nothing.
type Fence struct {
	Run   string `json:"run"`
	Epoch int64  `json:"epoch"`
}

// A Claim asks for the right to change an environment.
type Claim struct {
	Run     string        `json:"run"`
	Holder  string        `json:"holder"`  // who, for the person who is told to wait
	Reason  string        `json:"reason"`  // what for
	Atleast int64         `json:"atleast"` // the granted epoch is not below this
	TTL     time.Duration `json:"ttl"`     // the claim lapses when it is not renewed for so long
}

// A Mode says how the proxy treats the requests of an environment.
type Mode string

// The modes.
const (
	Serving     Mode = "serving"
	Holding     Mode = "holding"     // requests wait at the proxy, for a bounded time
	Maintenance Mode = "maintenance" // 503 with Retry-After; health checks are answered
)

// Limits are what a release is held to while it is watched. A zero limit is not
// checked.
type Limits struct {
	For            time.Duration  `json:"for"`                       // how long the old slot guards the new one
	ErrorRate      float64        `json:"error_rate,omitempty"`      // 0.01 is 1 %
	P95            time.Duration  `json:"p95,omitempty"`             // 95th percentile of latency
	Confidence     float64        `json:"confidence,omitempty"`      // that a limit is broken before traffic goes back; 0 is 0.999
	Min            time.Duration  `json:"min,omitempty"`             // no earlier is health taken for proven; 0 is a minute
	Warmup         time.Duration  `json:"warmup,omitempty"`          // latency is not judged before, or 200 requests; 0 is 30 seconds
	OnInconclusive OnInconclusive `json:"on_inconclusive,omitempty"` // "" is [Extend]
}

// Longest is how long a watch may last, extension included.
func (l Limits) Longest() time.Duration {
	if l.OnInconclusive == "" || l.OnInconclusive == Extend {
		return 2 * l.For
	}
	return l.For
}

// OnInconclusive says what becomes of a release whose watch ended without proof
// that it is well or ill.
type OnInconclusive string

// The choices.
const (
	Extend         OnInconclusive = "extend"   // watch once more for as long, then promote
	PromoteAnyway  OnInconclusive = "promote"  // it stays, and is called not proven
	HoldForAPerson OnInconclusive = "hold"     // it stays, and the run waits for a person
	RollBackAnyway OnInconclusive = "rollback" // the old release gets the traffic back
)

// A Stage is a share of the requests that a new release gets before it gets all
// of them.
type Stage struct {
	Percent float64       `json:"percent"`
	For     time.Duration `json:"for"` // one that is proven healthy goes on earlier
}

// An Outcome is the result of asking for a judgement.
type Outcome string

// The outcomes. [Inconclusive] evidence is never a pass.
const (
	Pass         Outcome = "pass"
	Fail         Outcome = "fail"
	Wait         Outcome = "wait"
	NoConclusion Outcome = "inconclusive"
)

// A Verdict is an outcome and the sentence, with numbers, that explains it.
type Verdict struct {
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason"`
	// Rehearsal is what the verdict goes by, when that was a rehearsal.
	Rehearsal *Rehearsal `json:"rehearsal,omitempty"`
	// Report is what a gate found besides.
	Report *Report `json:"report,omitempty"`
}

// An Event is something that happened in a run. Events are kept for ever and
// shown as they come.
type Event struct {
	Run  string          `json:"run"`
	Seq  int64           `json:"seq"` // 1, 2, 3 … within the run
	At   time.Time       `json:"at"`
	Type string          `json:"type"` // see the Event… constants
	Step string          `json:"step,omitempty"`
	Text string          `json:"text,omitempty"`
	Data json.RawMessage `json:"data,omitempty"`
}

// The types of events.
const (
	EventPlan     = "plan"     // Data is the Plan
	EventStarted  = "started"  // a step began
	EventProgress = "progress" // a step is under way; Text says how far
	EventDone     = "done"     // a step is done; Text says what it did
	EventFailed   = "failed"   // a step failed; Text says why
	EventUndone   = "undone"   // a step's effect was taken back
	EventNote     = "note"     // anything a person should know
	EventHealthy  = "healthy"  // health is proven, the watch goes on; Data is a Result
	EventUnproven = "unproven" // the release serves and is well, too few requests came to prove its health; the watch goes on; Data is a Result
	EventFinal    = "final"    // the run ended; Data is the Result
)
