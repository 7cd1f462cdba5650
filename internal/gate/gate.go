// Package gate is the seam for conditions a run must pass. It owns the Gate
// interface; each kind is a package below it. It knows nothing of traffic.
package gate

import (
	"context"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Gate judges a candidate. An error means the gate could not judge, which
// is never a pass. Judge is repeatable: after a crash it is asked again with
// the same candidate.
type Gate interface {
	Judge(ctx context.Context, c Candidate) (ship.Verdict, error)
}

// A Candidate is a prepared release that wants to go on.
type Candidate struct {
	Run     string
	Name    string // of the gate
	Release ship.Release
	Dir     string
	Timeout time.Duration
	// Command runs argv in the release's folder with its environment, once
	// per run and gate, and returns its exit code and the end of its output.
	Command func(ctx context.Context, argv ship.Argv) (code int, output string, err error)
	// Rehearse has the pending migrations carried out on a copy of the target
	// database; nil where there are none.
	Rehearse func(ctx context.Context, r Rehearsing) (ship.Rehearsal, error)
}

// Rehearsing says how a rehearsal is made.
type Rehearsing struct {
	Downgrade bool             // ways down are tried too
	MaxSize   int64            // bytes of the database, at most
	Rows      map[string]int64 // of tables in production, where that is another database
}
