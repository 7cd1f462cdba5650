// Package database is the seam for target databases: the databases of the
// applications, never our own store. It owns the Database interface; each kind
// is a package below it. It knows nothing of migration tools or releases.
package database

import (
	"context"
	"io"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// Config is what opening a target database needs.
type Config struct {
	URL         ship.Secret // direct, with the migration role
	Dir         string      // folder relative paths of SQLite files are relative to
	LockTimeout time.Duration
	// LockRetry is how long a piece of work whose statement did not get its
	// lock is tried again; 0 is never.
	LockRetry time.Duration
	Key       []byte // 32 bytes: the key backups are encrypted with
	// Waiting, unless nil, is told by [Database].Lock what it waits for, at
	// each look.
	Waiting func(what string)
	// Retrying, unless nil, is told by [Lock].Do who had the lock that a
	// statement did not get, and when it is tried again.
	Retrying func(what string)
}

// A Creator is a database that comes into being when it is first changed.
type Creator interface {
	// NeverCreate makes it unreachable from now on when it does not exist: it
	// was there before, so it is gone and not new.
	NeverCreate()
}

// A Database is a target database. Reading needs no lock; changing goes
// through the [Lock].
type Database interface {
	// Name identifies the database to a person, without credentials.
	Name() string
	// Ping fails with kind Unreachable and says why in a sentence.
	Ping(ctx context.Context) error
	// ServerVersion returns for example "PostgreSQL 15.18".
	ServerVersion(ctx context.Context) (string, error)
	// Rows runs a query and returns its rows as text, NULL as "". It is for
	// small tables such as a tool's history. A missing table is reported as
	// [ErrNoTable].
	Rows(ctx context.Context, query string, args ...any) ([][]string, error)

	// Ledger returns our records, oldest first; none when there is no ledger.
	Ledger(ctx context.Context) ([]ship.Record, error)
	// Epoch returns the highest epoch that has locked the database, or 0.
	Epoch(ctx context.Context) (int64, error)
	// Lock takes the migration lock for f and raises the fence to f.Epoch. It
	// never waits inside the database. A live holder of the same or a higher
	// epoch makes it fail with kind Locked and the holder's name; a higher
	// epoch in the fence with kind Fenced. Sessions of lower epochs are ended
	// and waited for, until ctx ends.
	Lock(ctx context.Context, f ship.Fence, holder string) (Lock, error)

	// Catalog describes the schema, without our own tables.
	Catalog(ctx context.Context) (*Catalog, error)

	// Backup writes an encrypted copy of the database to w and returns what
	// it measured. progress is called with the bytes written so far.
	Backup(ctx context.Context, w io.Writer, progress func(int64)) (BackupInfo, error)
	// Verify reads an encrypted copy to its end and checks that it can be
	// restored from, without restoring it.
	Verify(ctx context.Context, r io.Reader) (BackupInfo, error)
	// Restore puts a copy into a new database beside this one and then
	// switches the two by renaming. The former database is kept under the
	// name it returns.
	Restore(ctx context.Context, f ship.Fence, r io.Reader) (kept string, err error)
	// Size returns the database's size in bytes, for the check of disk room.
	Size(ctx context.Context) (int64, error)
	// Written says what was written between two moments as well as can be
	// told: from is the mark an earlier call returned, "" the first time.
	// Tables in which nothing was written are left out.
	Written(ctx context.Context, from string) (mark string, in []Wrote, err error)

	// ToolVars returns the environment variables that make an external tool's
	// connections carry run, epoch and time-outs, where the database has such.
	ToolVars(f ship.Fence, lockTimeout time.Duration) map[string]string
	Close() error
}

// Wrote is how many rows of a table were written.
type Wrote struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// Exclusive is a Database that is a file: while it is replaced nobody may have
// it open.
type Exclusive interface {
	RestoreNeedsNobody() bool
}

// A Lock is the migration lock of a database, held by one session. Every
// method checks, in the same transaction as its effect, that no higher epoch
// has raised the fence, and fails with kind Fenced if one has.
type Lock interface {
	Do(ctx context.Context, w ship.Work) error
	Rows(ctx context.Context, query string, args ...any) ([][]string, error)
	// Release frees the lock. It is safe to call twice.
	Release(ctx context.Context) error
}

// BackupInfo is what is known of a copy.
type BackupInfo struct {
	Kind   string    `json:"kind"`   // "pg_dump", "sqlite"
	Size   int64     `json:"size"`   // bytes written, encrypted
	SHA256 string    `json:"sha256"` // of those bytes
	Items  int       `json:"items"`  // tables in it
	At     time.Time `json:"at"`
}
