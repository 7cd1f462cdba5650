package ship

import (
	"encoding/json"
	"time"
)

// A Plan is what a run will do, decided before it changes anything. A plan is
// data: it can be stored, compared by digest, and read by a later version.
type Plan struct {
	Schema      int           `json:"schema"` // version of this structure
	Environment EnvironmentID `json:"environment"`
	Verb        string        `json:"verb"`           // "deploy", "rollback", …
	From        *Release      `json:"from,omitempty"` // what serves now
	To          Release       `json:"to"`
	Steps       []Step        `json:"steps"`
	Migrations  []Migration   `json:"migrations,omitempty"` // pending, in order, classified; going down, those to be taken back
	// Waiting are the contracts of the release, which this run does not carry
	// out; in a run that does, they are those it carries out.
	Waiting  []Waiting `json:"waiting,omitempty"`
	Settings []Change  `json:"settings,omitempty"`
	Notes    []string  `json:"notes,omitempty"`
	Refused  *Refusal  `json:"refused,omitempty"`
	// Rehearsal is the last one of this release, if the database is as it was.
	Rehearsal *Verdict `json:"rehearsal,omitempty"`
}

// PlanSchema is the version of [Plan] this program writes and the highest it reads.
const PlanSchema = 1

// A Refusal says why a plan may not be carried out.
type Refusal struct {
	Kind   Kind   `json:"kind"`
	Reason string `json:"reason"`
	Hint   string `json:"hint"`
}

// A Change is a setting that differs from the running release. Values are
// shown with their references unresolved.
type Change struct {
	Name string `json:"name"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// A Step is the smallest repeatable part of a run.
type Step struct {
	Name    string          `json:"name"`
	Kind    string          `json:"kind"` // which implementation carries it out
	Version int             `json:"version"`
	Reason  string          `json:"reason"`     // why it is in the plan
	OnFail  string          `json:"on_failure"` // what happens when it fails
	Params  json.RawMessage `json:"params,omitempty"`
	Timeout time.Duration   `json:"timeout"`
}

// A Status is how far a run has come.
type Status string

// The statuses of a run. Paused waits for a person; [Status.Ended] tells which
// are terminal.
const (
	Planned Status = "planned"
	Running Status = "running"
	Undoing Status = "undoing"
	Paused  Status = "paused"
	Passed  Status = "passed"
	Broken  Status = "failed"
	Aborted Status = "aborted"

	Queued     Status = "queued"     // waits for its turn; it has done nothing yet
	Superseded Status = "superseded" // a newer one came while it waited; it has done nothing
)

// Ended tells whether s is terminal.
func (s Status) Ended() bool {
	return s == Passed || s == Broken || s == Aborted || s == Superseded
}

// SchemaState says what a run left of the schema.
type SchemaState string

// The states of the schema after a run.
const (
	SchemaUnchanged SchemaState = "unchanged"
	SchemaChanged   SchemaState = "changed"  // migrated, and the new release serves
	SchemaReverted  SchemaState = "reverted" // what was changed was taken back
	SchemaAhead     SchemaState = "ahead"    // completed expand migrations stayed
	SchemaUnknown   SchemaState = "unknown"  // a person has to look
)

// A Proof says what the watch of a run found of its release; "" is that there
// was none, that it is not over, or that the release was taken back.
type Proof string

// What a watch finds.
const (
	Proven   Proof = "proven"   // the release keeps its limits, with numbers
	Unproven Proof = "unproven" // nothing speaks against it, and nothing proves it
)

// A Result is how a run ended, in one object.
type Result struct {
	Run         string        `json:"run"`
	Environment EnvironmentID `json:"environment"`
	Status      Status        `json:"status"`
	Kind        Kind          `json:"kind,omitempty"` // "" when it passed
	Reason      string        `json:"reason"`         // one sentence with numbers
	Next        string        `json:"next,omitempty"` // the next command to type
	Step        string        `json:"step,omitempty"` // where it ended
	Schema      SchemaState   `json:"schema"`
	Health      Proof         `json:"health,omitempty"`
	Serving     int           `json:"serving"` // release number; 0 is none
	Candidate   int           `json:"candidate"`
	Notes       []string      `json:"notes,omitempty"`
	Receipt     *Receipt      `json:"receipt,omitempty"`
}
