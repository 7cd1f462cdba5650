// Package platform is the seam for the places where releases run. It owns the
// Platform interface; each kind is a package below it. It knows nothing of
// databases or migrations.
package platform

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Platform runs releases in the slots of an environment and moves traffic
// between them. Every method is idempotent: after a crash the engine calls it
// again with the same arguments, and a method whose work is done returns at
// once. A method given a [ship.Fence] refuses with kind Fenced when it has
// granted a higher epoch for the environment.
type Platform interface {
	Capabilities() Capabilities

	// Acquire grants the claim's run the environment, with an epoch higher
	// than any before and not below Claim.Atleast. While another run's grant
	// has not lapsed it fails with kind Locked, naming the holder. The same
	// run gets the same epoch again.
	Acquire(ctx context.Context, env ship.EnvironmentID, c ship.Claim) (ship.Fence, error)
	// Renew extends the grant by ttl.
	Renew(ctx context.Context, env ship.EnvironmentID, f ship.Fence, ttl time.Duration) error
	// Release ends the grant. The epoch stays spent.
	Release(ctx context.Context, env ship.EnvironmentID, f ship.Fence) error

	// Observe reports the environment as it is. An environment never seen
	// before is empty, not an error.
	Observe(ctx context.Context, env ship.EnvironmentID) (Observation, error)

	// Upload hands over the artifact's zip. It is verified against its digest.
	Upload(ctx context.Context, a ship.Artifact, r io.Reader) error
	// Prepare unpacks the release for the environment and runs what it needs
	// before it can start, in a folder of its own. The environment that serves
	// is not touched, so it takes no fence.
	Prepare(ctx context.Context, s Spec) (Prepared, error)
	// Run carries out a command in the prepared release's folder with its
	// environment and waits. A named command that runs already is attached to,
	// one that ended is reported, neither is started again.
	Run(ctx context.Context, s Spec, c Command) (Result, error)

	// Start starts the release's web instances in the slot and its setup
	// before them; whatever ran in the slot is stopped first. Workers wait for
	// Shift. It returns when every process runs, not when it is healthy.
	Start(ctx context.Context, f ship.Fence, s Spec, slot ship.Slot) error
	// Stop ends every instance in the slot.
	Stop(ctx context.Context, f ship.Fence, env ship.EnvironmentID, slot ship.Slot) error
	// Shift makes slot the active one for every request from now on, switches
	// the workers, and begins to drain the other. It returns when the switch
	// is recorded and in force.
	Shift(ctx context.Context, f ship.Fence, env ship.EnvironmentID, s Shift) error
	// SetMode changes how requests are treated.
	SetMode(ctx context.Context, f ship.Fence, env ship.EnvironmentID, m ModeChange) error
	// StopWorkers ends the environment's workers until the next Shift or
	// StartWorkers.
	StopWorkers(ctx context.Context, f ship.Fence, env ship.EnvironmentID) error
	StartWorkers(ctx context.Context, f ship.Fence, env ship.EnvironmentID) error

	// Logs copies a slot's log lines to w; with follow, until ctx ends.
	Logs(ctx context.Context, env ship.EnvironmentID, q LogQuery, w io.Writer) error
}

// Capabilities say what a platform can do. A plan that needs what is missing
// is refused before anything is done.
type Capabilities struct {
	Hold        bool // requests can wait at the proxy
	Maintenance bool // a maintenance page can be shown
	KeepOld     bool // the old slot can stay warm after the swap
	Watch       bool // it guards a swap by itself
	Split       bool // it goes to all requests in stages
}

// A Spec is a release in an environment: all that is needed to run it.
type Spec struct {
	Environment ship.Environment       `json:"environment"`
	Release     ship.Release           `json:"release"`
	Vars        map[string]ship.Secret `json:"-"` // resolved environment variables
}

// Prepared says where a release was prepared.
type Prepared struct {
	Dir  string `json:"dir"`  // the release's folder, as commands see it
	Took string `json:"took"` // a sentence on what was done or reused
}

// A Command is run in a prepared release. Name makes it repeatable: letters,
// digits, '-', '_' and '.'. A command without a name is a query: it is run
// anew each time and ends with ctx.
type Command struct {
	Name    string                 `json:"name,omitempty"`
	Argv    ship.Argv              `json:"argv"`
	Stdin   []byte                 `json:"stdin,omitempty"`
	Vars    map[string]ship.Secret `json:"-"` // besides the Spec's
	Timeout time.Duration          `json:"timeout"`
	Fence   *ship.Fence            `json:"fence,omitempty"` // required for a named command
}

// A Result is how a command ended.
type Result struct {
	Code    int           `json:"code"`    // exit code; -1 when Unknown or killed
	Unknown bool          `json:"unknown"` // it is gone and nobody saw how it ended
	Stdout  []byte        `json:"stdout"`  // the last 1 MiB
	Stderr  []byte        `json:"stderr"`  // the last 64 KiB
	Took    time.Duration `json:"took"`
}

// A Shift asks for traffic to move.
type Shift struct {
	To    ship.Slot     `json:"to"`
	Drain time.Duration `json:"drain"`
	// LongLivedDrain is Drain for WebSocket and event streams; 0 is Drain.
	LongLivedDrain time.Duration `json:"long_lived_drain,omitempty"`
	// Watch, unless its For is zero, has the platform guard the new slot and
	// shift back by itself. A shift back latches the run: later shifts of the
	// same run are refused with kind RolledBack.
	Watch   ship.Limits   `json:"watch"`
	KeepOld time.Duration `json:"keep_old"` // then the old slot is stopped
	// Stages, with a Watch, are the shares of the requests the new slot gets
	// before it gets all. The platform goes through them by itself, and has
	// begun with the first one when Shift returns; the old slot is the active
	// one until the last is over.
	Stages []ship.Stage `json:"stages,omitempty"`
	Sticky bool         `json:"sticky,omitempty"` // clients stay with the release they met
	// NoWayBack says why the platform must not shift back by itself, "" when it
	// may: evidence against the release is told then, and nothing is done.
	NoWayBack string `json:"no_way_back,omitempty"`
}

// A ModeChange asks for another treatment of requests.
type ModeChange struct {
	Mode ship.Mode     `json:"mode"`
	For  time.Duration `json:"for"`            // bound of a hold, after which requests are let go; Retry-After of a maintenance page
	Text string        `json:"text,omitempty"` // of the maintenance page
	// Then is the mode a hold ends in when nobody ended it in time: Serving
	// lets the requests go, which is the default; Maintenance refuses them,
	// because the schema no longer fits the release that would get them. It
	// may be changed during a hold, whose bound stays as it was.
	Then ship.Mode `json:"then,omitempty"`
}

// LogQuery says which log lines are wanted.
type LogQuery struct {
	Slot    ship.Slot `json:"slot,omitempty"`    // default the active one
	Process string    `json:"process,omitempty"` // default all
	Lines   int       `json:"lines"`             // from the end
	Follow  bool      `json:"follow,omitempty"`
	Job     string    `json:"job,omitempty"` // instead of a slot: output of a named command
}

// An Observation is an environment as it is now.
type Observation struct {
	Known   bool                     `json:"known"` // false before the first Start
	Epoch   int64                    `json:"epoch"`
	Holder  *ship.Claim              `json:"holder,omitempty"`
	Active  ship.Slot                `json:"active,omitempty"`
	Mode    ship.Mode                `json:"mode"`
	Slots   map[ship.Slot]SlotStatus `json:"slots"`
	Waiting int64                    `json:"waiting"` // requests held at the proxy
	Watch   *WatchStatus             `json:"watch,omitempty"`
	Receipt *ship.Receipt            `json:"receipt,omitempty"` // of the last swap
}

// SlotStatus is what runs in a slot.
type SlotStatus struct {
	Release   ship.Release `json:"release"`
	Run       string       `json:"run"` // that started it
	Instances []Instance   `json:"instances"`
	InFlight  int64        `json:"in_flight"`
	// Left is InFlight by protocol.
	Left     map[ship.Protocol]int64 `json:"left,omitempty"`
	Draining bool                    `json:"draining,omitempty"`
	Counters Counters                `json:"counters"`
	Since    time.Time               `json:"since"`
}

// Counters count the requests a slot answered since it was started.
type Counters struct {
	Requests int64         `json:"requests"`
	Errors   int64         `json:"errors"` // 5xx and failures to answer
	P50      time.Duration `json:"p50"`
	P95      time.Duration `json:"p95"`
	P99      time.Duration `json:"p99"`
}

// An Instance is one process of a slot.
type Instance struct {
	ID       string    `json:"id"` // "blue.web.1"
	Process  string    `json:"process"`
	PID      int       `json:"pid"`
	Address  string    `json:"address,omitempty"` // host:port of a web instance
	State    string    `json:"state"`             // "running", "exited", "backoff", "stopped"
	Exit     string    `json:"exit,omitempty"`    // how it ended last: "exit code 1", "killed by SIGKILL (out of memory)"
	Restarts int       `json:"restarts"`
	Since    time.Time `json:"since"`
}

// WatchStatus is how the guard of the last swap stands.
type WatchStatus struct {
	Run     string       `json:"run"`
	Verdict ship.Verdict `json:"verdict"` // Wait while it lasts
	Began   time.Time    `json:"began"`
	Until   time.Time    `json:"until"`
	Back    bool         `json:"back"`              // traffic was given back to the old slot
	Percent float64      `json:"percent,omitempty"` // of the requests that the new slot gets, while it does not get all
	Healthy bool         `json:"healthy,omitempty"` // health is proven, and the watch may still go on
	Quiet   string       `json:"quiet,omitempty"`   // what was seen of a release that is well and has too few requests to prove its health in time
	Held    bool         `json:"held,omitempty"`    // the release stays where it is, and a person has to decide
	Alert   string       `json:"alert,omitempty"`   // what a person has to hear though the watch goes on
	// After says how the old release did once traffic was given back.
	After string `json:"after,omitempty"`
}

// An Ender is a platform that can end a named command whose run does not need
// its result any more.
type Ender interface {
	// EndCommand ends the command and all it started, and returns when they are
	// gone. One that has ended, or was never begun, is left as it is.
	EndCommand(ctx context.Context, f ship.Fence, env ship.EnvironmentID, name string) error
}

// A Guardian is a platform whose guard a person can send away.
type Guardian interface {
	// EndWatch ends the watch of the fence's run: the release stays, and gets
	// all requests. why is the beginning of the sentence that says so. A watch
	// that is over stays as it is.
	EndWatch(ctx context.Context, f ship.Fence, env ship.EnvironmentID, why string) error
}

// A Witness is a platform that can show what its guard has seen.
type Witness interface {
	// Evidence returns what is known of the traffic of the last seconds, and
	// what the guard of the last swap judged by.
	Evidence(ctx context.Context, env ship.EnvironmentID, seconds int) (Evidence, error)
}

// Evidence is what a guard has seen.
type Evidence struct {
	Run    string                       `json:"run,omitempty"`    // whose swap is or was guarded
	Judged json.RawMessage              `json:"judged,omitempty"` // analysis.Evidence; nil when nothing was guarded
	Slots  map[ship.Slot][]TrafficCount `json:"slots"`            // by second, oldest first
}

// A TrafficCount is what a slot had to do within one second.
type TrafficCount struct {
	At       time.Time     `json:"at"`
	Requests int64         `json:"requests"`
	Errors   int64         `json:"errors"`
	Slow     int64         `json:"slow"`
	Mean     time.Duration `json:"mean"`
}
