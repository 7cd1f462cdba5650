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

// A Visitor is a gate that sends requests to the candidate. It is asked when
// that runs and is well, before users get to it.
type Visitor interface {
	Gate
	// Visits does nothing: that a gate has it tells when it is asked.
	Visits()
}

// A Loner is a gate that other gates would disturb, because it measures how
// fast something is. It is asked when no other one is.
type Loner interface {
	Gate
	// JudgesAlone does nothing: that a gate has it tells when it is asked.
	JudgesAlone()
}

// A Candidate is a prepared release that wants to go on. What a gate has to do
// with the world it does through its functions.
type Candidate struct {
	Run     string
	Name    string // of the gate
	Release ship.Release
	Dir     string
	Timeout time.Duration
	// Targets are where the candidate's web instances answer, such as
	// http://127.0.0.1:4711, and Host is the name they are asked by. There are
	// none before it runs.
	Targets []string
	Host    string
	// Command runs argv in the release's folder with its environment, once
	// per run and gate, and returns its exit code and the end of its output.
	// Where the candidate runs, SHIPLOCK_URL is the first of Targets. It ends
	// with ctx.
	Command func(ctx context.Context, argv ship.Argv) (code int, output string, err error)
	// File returns a file that the command wrote, by its path in the release's
	// folder, and keeps it with the run. One that was there before the run and
	// one of more than [MaxFile] bytes are errors.
	File func(ctx context.Context, path string) ([]byte, error)
	// Earlier returns what File kept of this gate for the release that serves.
	// Without one it fails with [io/fs.ErrNotExist].
	Earlier func(ctx context.Context, path string) ([]byte, error)
	// Progress tells how far the gate is, and what it has measured so far.
	Progress func(text string, figures ...ship.Figure)
	// Rehearse has the pending migrations carried out on a copy of the target
	// database; nil where there are none.
	Rehearse func(ctx context.Context, r Rehearsing) (ship.Rehearsal, error)
}

// MaxFile is the size in bytes above which no file of a gate is read.
const MaxFile = 32 << 20

// FromBackup makes the copy of the newest backup there is.
const FromBackup = "backup"

// Rehearsing says how a rehearsal is made.
type Rehearsing struct {
	Downgrade bool             // ways down are tried too
	MaxSize   int64            // bytes of the database, at most
	Rows      map[string]int64 // of tables in production, where that is another database
	// From is [FromBackup], or the path of a backup, to make the copy of; "" is
	// the database as it is.
	From  string
	Smoke bool // the release that serves is started against the copy, too
}
