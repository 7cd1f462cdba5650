package database

import (
	"context"
	"time"
)

// A Piece is a thing in a schema that is to be taken away.
type Piece struct {
	Kind   string `json:"kind"` // "table", "column", "view", …
	Table  string `json:"table"`
	Column string `json:"column,omitempty"`
}

// String says it for a person: "column products.price".
func (p Piece) String() string {
	if p.Column != "" {
		return p.Kind + " " + p.Table + "." + p.Column
	}
	return p.Kind + " " + p.Table
}

// A Dependent is a thing in a schema that needs a [Piece].
type Dependent struct {
	Kind string `json:"kind"` // "view", "function", "trigger", "foreign key", "index", …
	Name string `json:"name"`
	On   Piece  `json:"on"`
	// Read: nothing but the text of its code names the part.
	Read bool `json:"read,omitempty"`
}

// A Shaper is a Database that knows what hangs together in its schema.
type Shaper interface {
	Database
	// Dependents returns what needs the parts, but for what goes with them by
	// itself, such as an index of a table.
	Dependents(ctx context.Context, parts []Piece) ([]Dependent, error)
	// Required returns those columns that are NOT NULL and get no value by
	// themselves: a row cannot be written without them.
	Required(ctx context.Context, columns []Piece) ([]Piece, error)
}

// A Counter is a Database that counts the statements it carries out.
type Counter interface {
	Database
	// Statements returns what was counted in this database, of everybody.
	Statements(ctx context.Context) (Statements, error)
}

// Statements are what a server has counted.
type Statements struct {
	At      time.Time // by the server's clock
	Reset   time.Time // counting began anew
	Evicted int64     // so many times entries gave way to others, since the server remembers
	All     []Statement
	// Missing says why they are not known, in a sentence, and Next what would
	// help; "" when they are.
	Missing string
	Next    string
}

// A Statement is one that was counted, with its literals taken out.
type Statement struct {
	ID    string
	SQL   string
	Calls int64
}
