package ship

import (
	"encoding/json"
	"time"
)

// The verbs of runs.
const (
	VerbDeploy   = "deploy"
	VerbRollback = "rollback"
	VerbMigrate  = "migrate"
)

// A Request is what a run was asked to do. It never changes.
type Request struct {
	Run         string      `json:"run,omitempty"` // the run's ID, once it has one
	Verb        string      `json:"verb"`          // "deploy", "rollback", "migrate"
	Environment Environment `json:"environment"`
	Release     Release     `json:"release"`
	By          string      `json:"by"`
	Reason      string      `json:"reason,omitempty"`
	Options     Options     `json:"options"`
	Key         string      `json:"key,omitempty"` // of the wish: one that is made again with it is for the same run

	From string        `json:"from,omitempty"` // environment whose release it is; "" where it is no promotion
	Auto bool          `json:"auto,omitempty"` // a promotion nobody asked for: it follows a run that passed
	Next []Environment `json:"next,omitempty"` // those that are to take the release by themselves, one after the other
}

// Word is what was asked for, as the command line calls it.
func (r Request) Word() string {
	if r.From != "" {
		return "promote"
	}
	return r.Verb
}

// Options are the choices a person makes for one run.
type Options struct {
	Accept       string `json:"accept,omitempty"`        // route for incompatible changes: "hold", "maintenance"
	RevertSchema bool   `json:"revert_schema,omitempty"` // take completed expand migrations back too when the run fails
	SkipBackup   string `json:"skip_backup,omitempty"`   // reason
	Down         string `json:"down,omitempty"`          // with verb migrate: take migrations back until this one is gone
	Backfill     string `json:"backfill,omitempty"`      // with verb migrate: carry on the backfills: "run", "resume" also those that are paused
	Contract     bool   `json:"contract,omitempty"`      // with verb migrate: carry out the contracts that wait
	Override     bool   `json:"override,omitempty"`      // with Contract: although a condition is not met; the request's reason says why
}

// A Run is one carrying-out of a plan in one environment.
type Run struct {
	ID        string    `json:"id"`
	Request   Request   `json:"request"`
	Plan      Plan      `json:"plan"`
	Status    Status    `json:"status"`
	Epoch     int64     `json:"epoch"`
	Result    Result    `json:"result"`
	CreatedAt time.Time `json:"created_at"`
	EndedAt   time.Time `json:"ended_at"`
}

// A StepState is how far a step has come. StepStarted without an end is what a
// crash leaves: the step may or may not have acted.
type StepState string

// The states of a step.
const (
	StepStarted StepState = "started"
	StepDone    StepState = "done"
	StepFailed  StepState = "failed"
	StepUndoing StepState = "undoing"
	StepUndone  StepState = "undone"
)

// An Entry is a line of a run's journal: one step of its plan.
type Entry struct {
	Seq       int             `json:"seq"` // index in the plan
	Name      string          `json:"name"`
	State     StepState       `json:"state"`
	Attempt   int             `json:"attempt"`
	Epoch     int64           `json:"epoch"`
	Evidence  json.RawMessage `json:"evidence,omitempty"`
	Error     string          `json:"error,omitempty"`
	Kind      Kind            `json:"kind,omitempty"` // of the error
	Hint      string          `json:"hint,omitempty"` // of the error
	StartedAt time.Time       `json:"started_at"`
	EndedAt   time.Time       `json:"ended_at"`
}

// Failure returns why the step failed, as it was recorded; nil when it did not.
func (e Entry) Failure() error {
	if e.Error == "" {
		return nil
	}
	return Errorf(e.Kind, e.Hint, "%s", e.Error)
}

// A Signal is a word from outside to a run: buffered until it is taken, and
// taken once.
type Signal struct {
	Name string `json:"name"` // "cancel", "resume"
	Data string `json:"data,omitempty"`
	By   string `json:"by"`
}

// A Deployed is a release that came to serve in an environment.
type Deployed struct {
	Seq      int         `json:"seq"`
	Release  int         `json:"release"`
	Run      string      `json:"run"`
	Verb     string      `json:"verb,omitempty"` // of the run
	Settings Environment `json:"settings"`
	At       time.Time   `json:"at"`
}

// A RunFilter selects runs; a zero field does not restrict.
type RunFilter struct {
	App, Env string
	Open     bool // has the environment: began, and has not ended
	Queued   bool // waits for its turn
	Began    bool // did not only wait
	Limit    int
}
