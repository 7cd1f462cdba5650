package lint

import (
	"github.com/shiplock/shiplock/internal/sqltext"
)

// A Class says what a finding means for a migration.
type Class string

// The classes.
const (
	Block Class = "B" // it hurts, unless it is written in another way
	Gate  Class = "G" // it is for the contract phase alone, when nothing uses the old shape
	Warn  Class = "W" // somebody should look at it
	Info  Class = "I" // it is good to know
)

// A Lock is a lock a statement takes, in the database's own words.
type Lock struct {
	Table string `json:"table"`
	Mode  string `json:"mode"`
}

// The modes of PostgreSQL's table locks that rules name.
const (
	AccessExclusive      = "ACCESS EXCLUSIVE"
	Exclusive            = "EXCLUSIVE"
	ShareRowExclusive    = "SHARE ROW EXCLUSIVE"
	Share                = "SHARE"
	ShareUpdateExclusive = "SHARE UPDATE EXCLUSIVE"
	RowExclusive         = "ROW EXCLUSIVE"
	RowShare             = "ROW SHARE"
	// Writer is the one lock of SQLite: who holds it keeps all writers off.
	Writer = "WRITER"
)

// A Work is what a statement does while it holds its locks.
type Work string

// The kinds of work; "" changes the catalogue alone.
const (
	Scan       Work = "scan"
	Rewrite    Work = "rewrite"
	IndexBuild Work = "index build"
	RowWork    Work = "rows"
)

// Facts are what was measured of an operation; they make a rule's page.
type Facts struct {
	Operation string // what the rule is about
	Locks     string
	Versions  string // of the server
	Breaks    string // what of the running release it breaks; "" nothing
	Rollback  string // what the way down does; "" nothing to say
	Safe      string // the way to write it instead
}

// A Rule finds one thing. Check is called once for each operation: a statement,
// or one action of an ALTER TABLE. It must not change what it is given.
type Rule struct {
	ID      string // "PG116"
	Class   Class
	Dialect sqltext.Dialect
	Since   int // server version it applies from; 0 is any
	// NeedsVersion: it is left out when nobody says which version the server has.
	NeedsVersion bool
	Facts        Facts
	Check        func(*Op) []Hit
}

// A Hit is what a rule says of an operation.
type Hit struct {
	Class   Class  // "" is the rule's
	Message string // sentences, with names and what hurts
	Locks   []Lock // on what exists already
	Work    Work
	Rewrite string // the safe way as SQL ready to paste; "" is none

	Breaks bool // the running release cannot be said to live with it
	Stuck  bool // the way down can fail or lose something
	Keeps  bool // every row and value is still there, so the way down is exact
	Data   bool // it is about rows, not about the schema
}

// A Finding is a hit with its place.
type Finding struct {
	File      string
	Line      int
	Column    int
	Rule      string
	Class     Class
	Statement string
	Part      string // the part of the statement it is about; "" is all of it
	Hit
}

// Blocks tells whether a finding keeps a migration of the given phase from
// passing.
func (f Finding) Blocks(contract bool) bool {
	return f.Class == Block || f.Class == Gate && !contract
}
