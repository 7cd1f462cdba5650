package ship

import "time"

// A Phase says when a migration may run relative to the code that needs it.
type Phase string

// The phases of a migration.
const (
	Expand   Phase = "expand"   // the running release can live with it
	Backfill Phase = "backfill" // moves data; the running release can live with it
	Contract Phase = "contract" // the running release cannot live with it
)

// A Migration is one versioned change of the schema, as a migration tool
// knows it. ID is unique within its release and is what the ledger records.
type Migration struct {
	ID       string `json:"id"`             // "catalog.0002_price", "3f2a…", "00004_orders"
	File     string `json:"file,omitempty"` // path within the release
	Checksum string `json:"checksum"`       // "sha256:…" of the file
	Applied  bool   `json:"applied"`        // according to the database; false when read from files alone

	// What the tool can tell of it.
	Atomic     bool     `json:"atomic"`               // all of it or nothing
	Reversible bool     `json:"reversible"`           // the tool has a way down
	WhyNot     string   `json:"why_not,omitempty"`    // why it is not reversible
	SQL        string   `json:"sql,omitempty"`        // going up, where the tool can print it
	Operations []string `json:"operations,omitempty"` // the tool's own words, e.g. "RunPython", "AddField product.price"
	Needs      []string `json:"needs,omitempty"`      // IDs it depends on

	// What its author declared in the file: "shiplock: phase=expand reason=…".
	Declared Phase  `json:"declared,omitempty"`
	Reason   string `json:"reason,omitempty"`

	// Phase is what a classifier made of the above.
	Phase    Phase    `json:"phase,omitempty"`
	Findings []string `json:"findings,omitempty"` // why it is not expand, a sentence each
	Hazards  []string `json:"hazards,omitempty"`  // what it does to others while it runs: locks, scans, rewrites; a sentence each
	Ignored  []string `json:"ignored,omitempty"`  // findings that somebody has left out, with their reason; a sentence each
	Exact    bool     `json:"exact"`              // its way down, if it has one, brings back every row and value
}

// A Record is a line of the ledger that shiplock keeps in the target database
// itself: what is known of one migration there.
type Record struct {
	Migration string       `json:"migration"`
	Checksum  string       `json:"checksum"`
	Tool      string       `json:"tool"`
	Phase     Phase        `json:"phase"`
	Status    RecordStatus `json:"status"`
	Statement int          `json:"statement"` // how many of its statements are done, outside a transaction
	Release   string       `json:"release"`   // digest of the artifact that holds its way down
	Run       string       `json:"run"`
	Epoch     int64        `json:"epoch"`
	At        time.Time    `json:"at"`
}

// A RecordStatus says how far a migration has come.
type RecordStatus string

// The statuses of a record. Started without Done is what a crash leaves.
const (
	RecordStarted RecordStatus = "started"
	RecordDone    RecordStatus = "done"
	RecordFailed  RecordStatus = "failed"
)

// Work is a piece of SQL for a database to carry out under its migration lock.
// With Atomic, statements, records and deletions are one transaction. Without,
// Statements holds at most one statement, which runs outside a transaction,
// and the records are written after it.
type Work struct {
	Statements []string
	Atomic     bool
	Record     []Record // written, replacing those of the same Migration
	Forget     []string // migrations whose records are deleted
	Aside      []Drop   // copied aside before the statements
}

// A Drop is a table, or a column of one, that a migration drops. Before it
// does, what is in it is copied aside.
type Drop struct {
	Migration string    `json:"migration"`
	Table     string    `json:"table"`
	Column    string    `json:"column,omitempty"`  // "" is the whole table
	Stays     []string  `json:"stays,omitempty"`   // columns of the table that is put in its place; only the others are dropped
	Only      bool      `json:"only,omitempty"`    // with its drops undone, releases from before the migration can run on the database
	Besides   []string  `json:"besides,omitempty"` // indexes and constraints that are dropped, too
	Until     time.Time `json:"until"`             // the copy is kept
	MaxSize   int64     `json:"max_size"`          // bytes; more is refused
}

// A StatementError says which of a [Work]'s statements failed, counted from 0,
// and in which of its lines, from 1; 0 is not known. A database wraps what it
// says in one wherever it knows.
type StatementError struct {
	Index int
	Line  int
	Err   error
}

func (e *StatementError) Error() string { return e.Err.Error() }

// Unwrap returns what the database said.
func (e *StatementError) Unwrap() error { return e.Err }
