package database

import (
	"context"
	"io"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Shadower is a [Database] that can be copied, with its rows, to rehearse on.
type Shadower interface {
	// Shadow makes a copy under a name by which it is recognised, after it
	// dropped those that dead processes left. A database larger than the
	// options allow is refused.
	Shadow(ctx context.Context, o ShadowOptions) (Shadow, error)
}

// ShadowOptions say how a copy is made.
type ShadowOptions struct {
	App     ship.Secret // URL that the application uses
	MaxSize int64       // bytes; 0 is no limit
	Empty   bool        // it begins without tables: for migrations to show what they make
	// From is what [Database.Backup] wrote, to fill the copy from; nil fills it
	// from the database as it is.
	From io.Reader
}

// A Shadow is a copy of a database. Nobody but whoever made it knows of it: it
// may be changed in any way. What is done under its [Lock] between Watch and
// Stop is measured statement by statement.
type Shadow interface {
	Database
	// URL is the copy's, with the migration role.
	URL() ship.Secret
	// AppURL is the copy's, as the application would be given it.
	AppURL() (ship.Secret, error)
	// Seen returns statements that were run in the original, with $1, $2 in
	// place of values, where the database keeps them.
	Seen() []string
	// Tables describes the tables of users.
	Tables(ctx context.Context) ([]Table, error)
	// Sums returns a checksum of the rows of each table over the columns given,
	// which does not depend on their order. A table that is gone, or has lost
	// one of the columns, is not in it.
	Sums(ctx context.Context, tables []Table) (map[string]Sum, error)
	// App opens a session of the application. While it is open the copy cannot
	// be cloned.
	App(ctx context.Context) (Session, error)
	// Watch begins to measure.
	Watch(ctx context.Context) (Watch, error)
	// Clone makes a copy of the copy as it is now.
	Clone(ctx context.Context) (Shadow, error)
	// Drop removes the copy. It is safe to call twice.
	Drop(ctx context.Context) error
}

// A Session is one of the application's, in which statements can be tried.
type Session interface {
	// Role is who it is, for a person: "shop", or why it is another.
	Role() string
	// Prepare has the session keep a statement, which may hold $1, $2, and
	// returns what executes it where it has none. The error is
	// [errors.ErrUnsupported] where sessions keep none that could go stale.
	Prepare(ctx context.Context, statement string) (execute string, err error)
	// Try runs the statements in a transaction and returns the number of rows
	// the last one returned or changed. With commit, and if all worked, the
	// transaction stays. A statement that fails is a [Refused].
	Try(ctx context.Context, commit bool, statements ...string) (rows int64, err error)
	Close(ctx context.Context) error
}

// Refused is a database's own no to a statement.
type Refused struct {
	Code    string // SQLSTATE, "" where there is none
	Message string
}

func (e *Refused) Error() string {
	if e.Code == "" {
		return e.Message
	}
	return e.Message + " (SQLSTATE " + e.Code + ")"
}

// A Watch measures what is done to a [Shadow].
type Watch interface {
	// Stop ends it and returns what was done, in order.
	Stop(ctx context.Context) ([]ship.Effect, error)
}

// A Sum is a checksum of a table.
type Sum struct {
	Rows int64
	Sum  string
}

// A Table is one of a user's tables as a statement that uses it must know it.
type Table struct {
	Name    string // as a person reads it: "public.product", "product"
	Ident   string // as SQL has it
	Columns []Column
	Keys    []Key
	Rows    int64
}

// A Column is one of a [Table].
type Column struct {
	Name      string
	Ident     string // as SQL has it
	Type      string // as SQL has it: "character varying(50)"
	NotNull   bool
	Default   bool // it has a default, an identity or an expression
	Generated bool // it cannot be given a value

	// Values of it as SQL. Usual are two that differ and are unlikely to be in
	// the table; Least and Most are its limits; Labels is every value of an
	// enumeration. None is known for a type that is not.
	Usual  []string
	Least  string
	Most   string
	Labels []string
}

// A Key is a primary key, unique constraint, or foreign key of a [Table].
type Key struct {
	Name    string
	Columns []string // names
	Primary bool
	To      string // ident of the table a foreign key refers to; "" is a unique one
	ToCols  []string
	Partial bool // it holds for some rows only, or is of expressions
}
