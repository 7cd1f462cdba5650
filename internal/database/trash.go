package database

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Trasher is a Database that copies aside what migrations drop. Its locks
// are [Undropper]s and carry out the Aside of [ship.Work].
type Trasher interface {
	Database
	// Trash lists what is kept and what was brought back, oldest first.
	Trash(ctx context.Context) ([]Trashed, error)
	// CheckDrop fails with kind Refused when something could not be brought
	// back to its rows, or is too large. What is not there is no failure.
	CheckDrop(ctx context.Context, d ship.Drop) error
}

// An Undropper is a [Lock] that keeps what is dropped and brings it back.
type Undropper interface {
	Lock
	// CopyAside copies a page of something large, in a transaction of its own;
	// more tells that there is another. What is small is left for the
	// transaction that drops it.
	CopyAside(ctx context.Context, d ship.Drop) (more bool, err error)
	// Undrop brings something back for somebody. After a crash it is called again. The
	// record, unless nil, is written when it is back.
	Undrop(ctx context.Context, id int64, by string, record *ship.Record, tell func(string)) (Trashed, error)
	// Purge deletes what is kept for good.
	Purge(ctx context.Context, ids []int64) error
}

// The statuses of what is in the trash.
const (
	TrashCopied    = "copied"      // and not dropped, as far as is known
	TrashDropped   = "dropped"     // it can be brought back
	TrashReturning = "coming back" // it is being brought back, or that was cut off
	TrashBack      = "back"        // there is no copy any more
	TrashPurged    = "purged"      // likewise, for good
)

// Trashed is a table or a column that was copied aside before it was dropped.
type Trashed struct {
	ID        int64     `json:"id"`
	Migration string    `json:"migration"`
	Run       string    `json:"run"`
	Table     string    `json:"table"`
	Column    string    `json:"column,omitempty"` // "" is the whole table
	Status    string    `json:"status"`
	Key       []string  `json:"key,omitempty"` // columns by which values find their rows
	Rows      int64     `json:"rows"`
	Size      int64     `json:"size"` // bytes
	Parts     []Part    `json:"definition"`
	Done      int       `json:"done,omitempty"`     // parts that are back
	Returned  int64     `json:"returned,omitempty"` // rows
	Only      bool      `json:"only,omitempty"`     // see [ship.Drop]
	Besides   []string  `json:"besides,omitempty"`  // likewise
	Notes     []string  `json:"notes,omitempty"`    // what is not as it was
	By        string    `json:"by,omitempty"`       // who had it brought back
	BackAt    time.Time `json:"back_at"`
	At        time.Time `json:"at"`
	Until     time.Time `json:"until"`
}

// A Part is a piece of the definition of what was dropped, and the SQL that
// makes it again.
type Part struct {
	Kind string `json:"kind"` // "column", "default", "not null", "constraint", "index", "grant", "comment" …
	Name string `json:"name,omitempty"`
	SQL  string `json:"sql"`
}

// Name is what was dropped, as a person says it.
func (t Trashed) Name() string {
	if t.Column == "" {
		return t.Table
	}
	return t.Table + "." + t.Column
}

// Of tells whether it was copied aside for a drop.
func (t Trashed) Of(d ship.Drop) bool {
	return t.Migration == d.Migration && plain(t.Table) == plain(d.Table) && strings.EqualFold(t.Column, d.Column)
}

// plain takes off a schema that needs no mention.
func plain(name string) string {
	name = strings.ToLower(name)
	for _, schema := range []string{"public.", "main."} {
		name = strings.TrimPrefix(name, schema)
	}
	return name
}

// CanReturn fails when what is in the trash is not to be brought back.
func (t Trashed) CanReturn() error {
	switch t.Status {
	case TrashDropped, TrashReturning:
		return nil
	case TrashCopied:
		return ship.Errorf(ship.Refused, "shiplock migrate status", "%s was copied before %s, which has not dropped it", t.Name(), t.Migration)
	}
	return ship.Errorf(ship.Refused, "", "there is no copy of %s any more: it is %s", t.Name(), t.Status)
}

// SameKey fails when a table has another key than the copy of its column.
func (t Trashed) SameKey(now []string) error {
	if slices.Equal(t.Key, now) {
		return nil
	}
	return ship.Errorf(ship.Refused, "the copy stays until "+t.Until.UTC().Format(time.DateOnly)+"; read it there",
		"the values of %s cannot find their rows: the primary key of %s is (%s), and was (%s)", t.Name(), t.Table, strings.Join(now, ", "), strings.Join(t.Key, ", "))
}

// NoKey is the refusal to copy aside a column of a table without a key.
func NoKey(d ship.Drop) error {
	return ship.Errorf(ship.Refused, "give the table a primary key, or say in migrations.trash.off why nothing needs to be kept",
		"%s drops %s.%s, and without a primary key that stays its values could not be brought back to their rows", d.Migration, d.Table, d.Column)
}

// TooLarge is the refusal to copy aside more than is allowed; nil when it is
// not more.
func TooLarge(d ship.Drop, size int64) error {
	if d.MaxSize <= 0 || size <= d.MaxSize {
		return nil
	}
	what := d.Table
	if d.Column != "" {
		what += "." + d.Column
	}
	return ship.Errorf(ship.Refused, "raise migrations.trash.max_size, or say in migrations.trash.off why nothing needs to be kept",
		"%s drops %s, which has about %s; at most %s of it is copied aside", d.Migration, what, bytes(size), bytes(d.MaxSize))
}

func bytes(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// NameTaken is the refusal to bring back what is there again.
func NameTaken(t Trashed) error {
	return ship.Errorf(ship.Refused, "rename what is there now, then try again", "there is a %s again: what was dropped by %s is not put over it", t.Name(), t.Migration)
}
