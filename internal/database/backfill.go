package database

import (
	"context"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Backfiller is a Database that knows how far backfills are. Its locks are
// [Filler]s.
type Backfiller interface {
	Database
	// Progress returns what is known of each backfill that was begun, by name.
	Progress(ctx context.Context) ([]Progress, error)
	// Strain says what speaks against another batch on a table just now, as
	// far as the database can tell and lets us see.
	Strain(ctx context.Context, table string) (Strain, error)
	// Estimate returns about how many rows a table has; 0 when it cannot be told.
	Estimate(ctx context.Context, table string) (int64, error)
}

// A Filler is a [Lock] that carries out backfills.
type Filler interface {
	Lock
	// Fill does the next page of a backfill and moves its cursor, in one
	// transaction: after a crash both are done or neither is. A batch that
	// waited too long for others has [ErrBusy] in its error, one that took
	// longer than its limit [ErrTooLong].
	Fill(ctx context.Context, b Batch) (Filled, error)
	// Keep writes the progress of a backfill, and records of the ledger with
	// it.
	Keep(ctx context.Context, p Progress, records ...ship.Record) error
}

// A Batch is one page of a backfill.
type Batch struct {
	Name     string
	Checksum string
	SQL      BatchSQL
	Limit    int           // rows
	Rate     float64       // to be kept with the progress
	Wait     time.Duration // for a lock
	Longest  time.Duration // a statement of it may take
}

// BatchSQL are the statements of a batch, in the dialect of the database. The
// arguments of a bound are the key the page begins after, the last key of the
// pass, and the limit; it
// returns one row, with the number of rows and the last key of the page, or
// none when there is no further page. The arguments of what is done are the key
// the page begins after and its last one. What comes first has no key to begin
// after.
type BatchSQL struct {
	Last              string // the last key there is, or no row
	FirstBound, Bound string
	First, Next       string
}

// Filled is what a batch did.
type Filled struct {
	Progress Progress      // with it
	Rows     int64         // changed
	Seen     int64         // rows of the page
	Waiting  int           // sessions that waited for the batch when it was done
	Took     time.Duration // from the first statement to the end of the transaction
	End      bool          // there was no further page, and nothing was done
}

// The statuses of a backfill. One that stopped by itself says why in its note
// and is tried again by the next run.
const (
	FillRunning = "running"
	FillPaused  = "paused" // by a person, until a person resumes it
	FillStopped = "stopped"
	FillDone    = "done"
)

// Progress is how far a backfill is. It is kept beside the data it is about.
type Progress struct {
	Name     string    `json:"name"`
	Checksum string    `json:"checksum"`
	Status   string    `json:"status"`
	Cursor   []string  `json:"cursor,omitempty"` // last key that is done, each part as the database has it as text; nil before the first page
	Last     []string  `json:"last,omitempty"`   // key of the last row when this pass began: it ends there, however much is written behind
	Pass     int       `json:"pass"`             // from 1; another begins when rows are left
	Rows     int64     `json:"rows"`             // changed so far
	Seen     int64     `json:"seen"`             // rows of all pages of this pass
	Total    int64     `json:"total"`            // estimate when it began
	Size     int       `json:"size"`             // rows of the next batch
	Batches  int64     `json:"batches"`
	Rate     float64   `json:"rate"` // rows seen a second, waiting included, as it was before the last batch
	Note     string    `json:"note,omitempty"`
	Began    time.Time `json:"began"`
	Run      string    `json:"run"`
	Epoch    int64     `json:"epoch"`
	At       time.Time `json:"at"`
}

// Strain is what speaks against another batch.
type Strain struct {
	Waiting  int           // sessions that wait for a lock on the table, whoever holds it
	Lag      time.Duration // of the replica that is furthest behind
	Vacuumed bool          // autovacuum is at work on the table
}
