// Package wire holds what goes over the server's HTTP API besides the nouns of
// package ship. It is shared by the API and its client and knows neither.
package wire

import (
	"encoding/json"
	"time"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// Version is what GET /v1/version answers.
type Version struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
}

// NewRelease asks for a release of an artifact that was uploaded.
type NewRelease struct {
	App    string `json:"app"`
	Digest string `json:"digest"`
	By     string `json:"by"`
}

// NewRun asks for a run. Release 0 is, for a rollback, the previous good one.
type NewRun struct {
	Verb        string           `json:"verb"`
	Environment ship.Environment `json:"environment"`
	Release     int              `json:"release"`
	By          string           `json:"by"`
	Reason      string           `json:"reason,omitempty"`
	Options     ship.Options     `json:"options"`
	Key         string           `json:"key,omitempty"` // of this wish: asked for again with it, there is still one run

	// Promote asks for what the environment before has proven: Release, or with
	// 0 the one that serves there.
	Promote bool               `json:"promote,omitempty"`
	Queue   bool               `json:"queue,omitempty"` // what it may not begin for now is waited for
	Next    []ship.Environment `json:"next,omitempty"`  // take the release by themselves when it has passed
}

// NewSignal is a word to a run: "cancel", or "resolve" with the migration and
// what became of it.
type NewSignal struct {
	Name      string `json:"name"`
	Migration string `json:"migration,omitempty"`
	As        string `json:"as,omitempty"` // "applied", "not applied"
	By        string `json:"by"`
}

// EnvironmentStatus is what runs in an environment, since when, by whom, and
// what was before.
type EnvironmentStatus struct {
	ID       ship.EnvironmentID   `json:"id"`
	Release  *ship.Release        `json:"release,omitempty"`
	Previous *ship.Release        `json:"previous,omitempty"` // the previous good one
	State    string               `json:"state"`              // "empty", "healthy", "watching", "restored", "holding", "maintenance", "degraded", "unreachable"
	Since    time.Time            `json:"since,omitzero"`
	By       string               `json:"by,omitempty"`
	Note     string               `json:"note,omitempty"`
	Waiting  []string             `json:"waiting,omitempty"` // contracts of the release that wait for a run of their own
	Windows  map[string]time.Time `json:"windows,omitempty"` // of those: when their window is over, where that can be told
	Open     *ship.Run            `json:"open,omitempty"`    // run that has the environment
	Queued   *ship.Run            `json:"queued,omitempty"`  // run that waits for its turn
	Lock     *ship.Lock           `json:"lock,omitempty"`
	Frozen   *Frozen              `json:"frozen,omitempty"` // the freeze that holds
	Observed platform.Observation `json:"observed"`
}

// Traffic is an environment with the traffic of its last seconds, and what the
// guard of its last swap has seen.
type Traffic struct {
	EnvironmentStatus
	Evidence platform.Evidence `json:"evidence"`
}

// Journal is a run with its journal.
type Journal struct {
	Run     ship.Run     `json:"run"`
	Entries []ship.Entry `json:"entries"`
}

// Mode asks for another treatment of an environment's requests.
type Mode struct {
	Environment ship.Environment    `json:"environment"`
	Change      platform.ModeChange `json:"change"`
	By          string              `json:"by"`
}

// Backup names a copy of a database. As a request to restore, Path is the copy.
type Backup struct {
	Environment ship.Environment `json:"environment"`
	Path        string           `json:"path,omitempty"`
	Kept        string           `json:"kept,omitempty"` // where the database was put that the copy replaced

	// Preview asks a restore only what it would lose.
	Preview bool    `json:"preview,omitempty"`
	Copy    *Copy   `json:"copy,omitempty"`
	Written []Wrote `json:"written,omitempty"` // since the copy
	Untold  string  `json:"untold,omitempty"`  // why Written is not known
}

// Copy is a backup there is. Run and Release are those it was taken for.
type Copy struct {
	Path    string    `json:"path"`
	Run     string    `json:"run,omitempty"`
	Release int       `json:"release,omitempty"`
	Kind    string    `json:"kind,omitempty"` // "pg_dump", "sqlite"
	Size    int64     `json:"size"`           // bytes
	At      time.Time `json:"at"`
}

// Wrote is how many rows of a table were written.
type Wrote struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// Migrations asks for, or is, the state of the migrations in an environment.
type Migrations struct {
	Environment ship.Environment `json:"environment"`
	Release     int              `json:"release"`
	Migrations  []ship.Migration `json:"migrations,omitempty"`
	Unknown     []string         `json:"unknown,omitempty"` // applied, no file in the release
	Dirty       string           `json:"dirty,omitempty"`
	Problems    []string         `json:"problems,omitempty"`
	Waiting     []ship.Waiting   `json:"waiting,omitempty"` // pending contracts, with their conditions
	Ledger      []ship.Record    `json:"ledger,omitempty"`
	// Known is the schema as it is now, in the form of shiplock schema snapshot,
	// and Ahead are the applied migrations that no release which serves or may
	// serve again has: by these the migrations were judged.
	Known json.RawMessage `json:"known,omitempty"`
	Ahead []string        `json:"ahead,omitempty"`
}

// Rehearse asks for a release's migrations to be carried out on a copy of the
// environment's database, and judged by a gate. The answer is its verdict.
type Rehearse struct {
	Environment ship.Environment `json:"environment"`
	Release     int              `json:"release"`
	Gate        ship.Plugin      `json:"gate"`
}

// Prune asks for releases nobody needs any more to be deleted, or says which
// were and which were not.
type Prune struct {
	App     string         `json:"app"`
	Keep    int            `json:"keep"` // so many of the newest stay whatever else
	DryRun  bool           `json:"dry_run,omitempty"`
	Deleted []ship.Release `json:"deleted,omitempty"`
	Kept    []Kept         `json:"kept,omitempty"`
}

// Kept is a release that was not deleted.
type Kept struct {
	Release int    `json:"release"`
	Why     string `json:"why"`
}

// Trash asks what is kept of what migrations dropped, and has something brought
// back, or with Purge deleted for good.
type Trash struct {
	Environment ship.Environment `json:"environment"`
	What        string           `json:"what,omitempty"` // a number, a table, a column, a migration; with Purge "" is what was kept long enough
	Undrop      bool             `json:"undrop,omitempty"`
	Purge       bool             `json:"purge,omitempty"`
	By          string           `json:"by,omitempty"`
}

// Trashed is a table or a column that was copied aside before it was dropped.
type Trashed struct {
	ID         int64     `json:"id"`
	Name       string    `json:"name"`
	Table      string    `json:"table"`
	Column     string    `json:"column,omitempty"`
	Migration  string    `json:"migration"`
	Run        string    `json:"run"`
	Status     string    `json:"status"`
	Key        []string  `json:"key,omitempty"`
	Rows       int64     `json:"rows"`
	Size       int64     `json:"size"` // bytes
	Returned   int64     `json:"returned,omitempty"`
	Notes      []string  `json:"notes,omitempty"`
	Definition []string  `json:"definition"`   // SQL
	By         string    `json:"by,omitempty"` // who had it brought back
	BackAt     time.Time `json:"back_at,omitzero"`
	At         time.Time `json:"at"`
	Until      time.Time `json:"until"`
}

// Drift asks how a database differs from what its applied migrations make, and
// is the answer.
type Drift struct {
	Environment ship.Environment `json:"environment"`
	Release     int              `json:"release"`    // 0 asks for the one that serves
	Migrations  int              `json:"migrations"` // that were applied to an empty database to compare with
	Unknown     []string         `json:"unknown,omitempty"`
	Differences []Drifted        `json:"differences"`
}

// Drifted is one object that is not as the migrations make it.
type Drifted struct {
	State    string `json:"state"` // "missing", "extra", "changed"
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Expected string `json:"expected,omitempty"` // definition
	Found    string `json:"found,omitempty"`
	Why      string `json:"why,omitempty"` // what is known of how it came about
}

// Resolve says what became of a migration nobody saw the end of.
type Resolve struct {
	Environment ship.Environment `json:"environment"`
	Migration   string           `json:"migration"`
	As          string           `json:"as"` // "applied" or "not applied"
	By          string           `json:"by"`
}

// Failure is the body of an answer that is not a success.
type Failure struct {
	Kind    ship.Kind `json:"kind"`
	Message string    `json:"message"`
	Hint    string    `json:"hint,omitempty"`
}
