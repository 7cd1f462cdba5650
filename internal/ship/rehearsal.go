package ship

import "time"

// A Rehearsal is what the pending migrations of a release did on a copy of the
// target database, and what the running release can no longer do after them.
type Rehearsal struct {
	Release  string    `json:"release"`  // digest of the artifact
	Database string    `json:"database"` // that was copied, as a person knows it
	State    string    `json:"state"`    // digest of its schema when it was copied; another one needs another rehearsal
	Server   string    `json:"server"`   // "PostgreSQL 15.18"
	At       time.Time `json:"at"`
	Size     int64     `json:"size"` // bytes that were copied
	// Origin is what the copy was made of, for a person: "the backup of …". ""
	// is the database as it was.
	Origin string `json:"origin,omitempty"`

	Role    string `json:"role"`              // who the statements of the running release ran as
	Probes  int    `json:"probes"`            // statements of the running release that worked before
	Unfit   int    `json:"unfit"`             // statements that failed before already, and prove nothing
	Ignored int    `json:"ignored,omitempty"` // statements left out because there were too many

	Migrations []Rehearsed `json:"migrations"`
	// Smoke is how the check of the release that serves ended on the copy; nil
	// when it was not asked for, or none serves.
	Smoke *Smoked  `json:"smoke,omitempty"`
	Notes []string `json:"notes,omitempty"`
}

// Smoked is how a release did that was started against a copy: Pass before and
// after the migrations, Fail after one of them, NoConclusion before them.
type Smoked struct {
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason"`
}

// Rehearsed is what one migration did in a [Rehearsal].
type Rehearsed struct {
	Migration string     `json:"migration"`
	Failed    string     `json:"failed,omitempty"` // why it could not be applied; those after it were not tried
	TookMS    float64    `json:"took_ms"`
	Effects   []Effect   `json:"effects"` // statement by statement, or one for all of it
	Broken    []Breakage `json:"broken,omitempty"`
	Downgrade Downgrade  `json:"downgrade,omitzero"`
}

// An Effect is what a statement did on the copy: its locks, its work, its time.
type Effect struct {
	Statement string           `json:"statement"` // shortened
	TookMS    float64          `json:"took_ms"`
	HeldMS    float64          `json:"held_ms"` // its locks were held for so long, to the end of its transaction
	Locks     []TableLock      `json:"locks,omitempty"`
	Rewritten []string         `json:"rewritten,omitempty"` // tables whose file is another one
	Scanned   map[string]int64 `json:"scanned,omitempty"`   // rows read by scans, by table
	Written   map[string]int64 `json:"written,omitempty"`   // rows changed, by table
	WAL       int64            `json:"wal"`                 // bytes of write-ahead log, those of others on the server included
	// ProjectedMS is HeldMS for the number of rows that were named as those of
	// production; 0 when none were.
	ProjectedMS float64 `json:"projected_ms,omitempty"`
	// Sampled locks were seen from outside now and then: there may be more.
	Sampled bool `json:"sampled,omitempty"`
}

// A TableLock is a lock on a table, its mode in the words of the database.
type TableLock struct {
	Table string `json:"table"`
	Mode  string `json:"mode"` // "ACCESS EXCLUSIVE"
}

// A Breakage is a statement of the running release that worked before a
// migration and fails after it.
type Breakage struct {
	Probe     string `json:"probe"` // what it stands for: "minimal insert", "prepared select", …
	Table     string `json:"table,omitempty"`
	Statement string `json:"statement"`
	Code      string `json:"code,omitempty"` // SQLSTATE, where there is one
	Message   string `json:"message"`
}

// A Downgrade is what a migration's way down was found to be worth.
type Downgrade struct {
	Outcome DowngradeOutcome `json:"outcome"`
	What    []string         `json:"what,omitempty"`   // what differs, is lost, or why it fails; a sentence each
	Writes  []string         `json:"writes,omitempty"` // of the new release, that were made before it went down
}

// A DowngradeOutcome is one of four.
type DowngradeOutcome string

// What a way down can be worth.
const (
	DowngradeExact     DowngradeOutcome = "exact"     // schema and rows are as before
	DowngradeReordered DowngradeOutcome = "reordered" // as before but for the order of columns
	DowngradeLossy     DowngradeOutcome = "lossy"     // it runs, and something is not as before
	DowngradeFails     DowngradeOutcome = "fails"     // it does not run, or there is none
)

// Breaks counts the statements of the running release that fail after one of
// the migrations.
func (r *Rehearsal) Breaks() (n int) {
	for _, m := range r.Migrations {
		n += len(m.Broken)
	}
	return n
}

// Failure returns the first migration that could not be applied, or nil.
func (r *Rehearsal) Failure() *Rehearsed {
	for i := range r.Migrations {
		if r.Migrations[i].Failed != "" {
			return &r.Migrations[i]
		}
	}
	return nil
}
