package rewrite

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// A Constraint is one that is to be added.
type Constraint struct {
	sqltext.ConstraintDef
	Text string // as written, from CHECK, FOREIGN KEY, UNIQUE or PRIMARY KEY on; "" makes it of the rest
	New  bool   // no running release can break it: all its columns are new
}

// phase of what refuses writes: an author who knows that no release writes
// such rows may change it.
func (k Constraint) phase() ship.Phase {
	if k.New {
		return ship.Expand
	}
	return ship.Contract
}

func (k Constraint) reason(what string) string {
	if k.New {
		return what + "; the running release does not know its columns"
	}
	return what + "; no release that runs writes what it refuses"
}

// NotValid adds a CHECK or a foreign key without reading rows under its lock,
// and then proves it.
func (c Context) NotValid(table string, k Constraint) Plan {
	var p Plan
	own := c.named(table, k.ConstraintDef)
	text := k.text() + " NOT VALID"
	what := "new rows are checked, none that is there is read"
	p.add(
		Step{
			Name: own + "_add", Phase: k.phase(), Reason: k.reason(what),
			Up: []string{alter(table, "ADD CONSTRAINT "+lint.Quote(own)+" "+text)}, Down: []string{dropConstraintIfThere(table, own)},
		},
		Step{
			Name: own + "_validate", Phase: k.phase(), Reason: "reads all rows while reads and writes go on",
			Up: []string{validate(table, own)},
		},
	)
	return p
}

// text writes a constraint that was not taken from a statement.
func (k Constraint) text() string {
	switch {
	case k.Text != "":
		return k.Text
	case k.Kind == "CHECK":
		return strings.TrimSpace("CHECK (" + k.Expr + ") " + k.Options)
	case k.Kind == "FOREIGN KEY":
		ref := lint.Quote(lint.Plain(k.References))
		if len(k.RefColumns) > 0 {
			ref += " (" + lint.Quotes(k.RefColumns) + ")"
		}
		return "FOREIGN KEY (" + lint.Quotes(k.Columns) + ") REFERENCES " + strings.TrimSpace(ref+" "+k.Options)
	}
	return k.Kind + " (" + lint.Quotes(k.Columns) + ")"
}

// Unique adds a UNIQUE or PRIMARY KEY over an index that is built beside the
// traffic.
func (c Context) Unique(table string, k Constraint) (Plan, *Refusal) {
	var p Plan
	if k.Kind == "PRIMARY KEY" {
		for _, column := range k.Columns {
			if known := c.column(table, column); known == nil || !known.NotNull {
				return p, &Refusal{
					Reason: fmt.Sprintf("%s of %s is not known to be NOT NULL, and a primary key would read all rows to make it so while nobody can use the table", column, table),
					ByHand: fmt.Sprintf("make it NOT NULL first, in the same way (ALTER TABLE %s ALTER COLUMN %s SET NOT NULL), or name the schema with --base or --schema", table, column),
				}
			}
		}
	}
	own := c.named(table, k.ConstraintDef)
	index := "CREATE UNIQUE INDEX CONCURRENTLY " + lint.Quote(own) + " ON " + lint.Quote(table) + " "
	rest := strings.TrimSpace(k.text()[len(k.Kind):]) // "(a, b) INCLUDE (c)"
	attributes := ""
	if at := deferrable(rest); at >= 0 {
		rest, attributes = strings.TrimSpace(rest[:at]), " "+rest[at:]
	}
	if nulls, columns, ok := cutNulls(rest); ok {
		rest = columns + " " + nulls
	}
	p.add(
		Step{
			Name: own + "_index", Phase: k.phase(), Reason: k.reason("the index is built while reads and writes go on"),
			Up: []string{index + rest}, Down: []string{"DROP INDEX CONCURRENTLY IF EXISTS " + lint.Quote(beside(table, own))}, Alone: true,
		},
		Step{
			Name: own + "_add", Phase: k.phase(), Reason: "the index is there, so no row is read",
			Up:   []string{alter(table, "ADD CONSTRAINT "+lint.Quote(own)+" "+k.Kind+" USING INDEX "+lint.Quote(own)+attributes)},
			Down: []string{"-- the index goes with it: take the migration before back, too\n" + dropConstraint(table, own)},
		},
	)
	return p, nil
}

// deferrable returns where the attributes of a constraint begin, -1 for none.
func deferrable(text string) int {
	upper := strings.ToUpper(text)
	at := -1
	for _, word := range []string{"NOT DEFERRABLE", "DEFERRABLE", "INITIALLY"} {
		if i := strings.Index(upper, word); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	return at
}

// cutNulls takes NULLS [NOT] DISTINCT, which comes before the columns of a
// constraint and after those of an index.
func cutNulls(text string) (nulls, rest string, ok bool) {
	for _, words := range []string{"NULLS NOT DISTINCT", "NULLS DISTINCT"} {
		if len(text) > len(words) && strings.EqualFold(text[:len(words)], words) {
			return words, strings.TrimSpace(text[len(words):]), true
		}
	}
	return "", text, false
}

// named is the name of a constraint, or the one the database would give it.
func (c Context) named(table string, d sqltext.ConstraintDef) string {
	if d.Name != "" {
		return d.Name
	}
	columns := d.Columns
	if d.Kind == "CHECK" && len(columns) == 0 {
		if columns = c.columnsOf(table, d.Expr); len(columns) != 1 {
			columns = nil
		}
	}
	suffix := map[string]string{"CHECK": "check", "FOREIGN KEY": "fkey", "UNIQUE": "key", "PRIMARY KEY": "pkey"}[d.Kind]
	if d.Kind == "PRIMARY KEY" {
		columns = nil
	}
	words := append([]string{last(table)}, columns...)
	for i := 0; ; i++ {
		own := name(append(words, suffix)...)
		if i > 0 {
			own = name(append(words, fmt.Sprint(suffix, i))...)
		}
		if c.Schema == nil || c.Schema.Constraint(table, own) == nil {
			return own
		}
	}
}

// indexed tells whether an index is known that begins with a column.
func (c Context) indexed(table, column string) bool {
	if c.Schema == nil {
		return false
	}
	for _, i := range c.Schema.Indexes(table) {
		if len(i.Columns) > 0 && i.Columns[0] == column && !i.Complex {
			return true
		}
	}
	return false
}
