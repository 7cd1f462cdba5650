// Package migrate is the seam for migration tools. It owns the Tool interface;
// each tool is a package below it. It knows nothing of how a database is
// reached or where a release runs: it is handed a Session and a Runner.
package migrate

import (
	"context"
	"io/fs"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Tool reads and changes the schema of a project's database the way the
// project does. The engine calls Up and Down for one migration at a time,
// under the migration lock, and keeps the ledger.
type Tool interface {
	// Files lists the migrations in a tree by reading it, without a database
	// and without running anything, in an order that respects dependencies as
	// far as the files tell. It fills ID, File, Checksum, Declared and Reason,
	// and what else can be read.
	Files(tree fs.FS) ([]ship.Migration, error)
	// List adds what the database and the tool itself know.
	List(ctx context.Context, p Project) (Listing, error)
	// Up applies one migration whose dependencies are applied.
	Up(ctx context.Context, p Project, m ship.Migration) error
	// Down takes one migration back. It is only called when m is Reversible.
	Down(ctx context.Context, p Project, m ship.Migration) error
	// Observe tells what became of an Up or Down that was begun and whose end
	// nobody saw, when no process of it is left.
	Observe(ctx context.Context, p Project, m ship.Migration) (State, error)
}

// A Recorder is a [Tool] that may write the ledger itself. Records tells
// whether it does: then Up and Down change the schema, the tool's own history
// and the ledger in one transaction where the migration is atomic, and record
// statement by statement where it is not. For any other tool the engine
// writes the record after Up and deletes it after Down.
type Recorder interface {
	Records() bool
}

// A Project is a prepared release and its database.
type Project struct {
	Dir     string  // the release's folder; "" when it was not prepared
	Tree    fs.FS   // its files
	Runner  Runner  // runs the project's own commands
	Session Session // the target database; without the lock it refuses Do
	Fence   ship.Fence
	Release string        // digest of the artifact, for the records a Recorder writes
	Timeout time.Duration // of one migration
	Lock    time.Duration // a statement waits no longer for a lock
}

// A Runner runs commands in the release's folder with its environment. See
// platform.Platform.Run: a command with a name is run once, however often it
// is asked for, and outlives the caller.
type Runner interface {
	Run(ctx context.Context, c Command) (Result, error)
}

// A Command is run by a [Runner].
type Command struct {
	Name    string // "" is a query, run anew each time
	Argv    ship.Argv
	Stdin   []byte
	Vars    map[string]string
	Timeout time.Duration
}

// A Result is how a [Command] ended.
type Result struct {
	Code    int
	Unknown bool // it is gone and nobody saw how it ended
	Stdout  []byte
	Stderr  []byte
}

// A Session is the target database as far as a tool may see it.
type Session interface {
	Rows(ctx context.Context, query string, args ...any) ([][]string, error)
	Do(ctx context.Context, w ship.Work) error
	// Dialect is "postgres" or "sqlite".
	Dialect() string
	// NoTable tells whether err came of a missing table.
	NoTable(err error) bool
	Ledger(ctx context.Context) ([]ship.Record, error)
}

// A Listing is what a tool sees.
type Listing struct {
	Migrations []ship.Migration // of the release, in order of application
	Unknown    []string         // applied in the database, no file in the release
	Dirty      string           // the tool's own mark of a half-done migration, as a sentence; "" is none
	Problems   []string         // what keeps the tool from going on, e.g. two heads; a sentence each
	Ordered    bool             // a migration can only be applied when all before it are
}

// A State is what became of a migration.
type State string

// The states. StateUnknown is never guessed away: a person decides.
const (
	StateApplied    State = "applied"
	StateNotApplied State = "not applied"
	StateUnknown    State = "unknown"
)
