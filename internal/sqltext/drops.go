package sqltext

import (
	"slices"
	"strings"
)

// A Drop is something with rows in it that statements take away.
type Drop struct {
	Table  string // as it is called before the first statement
	Column string // "" is the whole table
	// Stays are the columns of the table that is put in the place of one that
	// is dropped; nil when none is.
	Stays []string
}

// Drops lists the tables and columns that are there before the statements and
// not after them, as far as the text tells. What the statements themselves make
// is not among them.
func Drops(all []Statement, d Dialect) []Drop {
	w := dropWalk{made: map[string][]string{}, table: map[string]string{}, column: map[[2]string]string{}, added: map[[2]string]bool{}}
	for _, s := range all {
		t := s.Tree(d)
		switch {
		case t.Object != "TABLE" || t.Temporary || len(t.Names) == 0:
		case t.Verb == "CREATE":
			w.made[t.Names[0]] = columnsMade(t)
		case t.Verb == "DROP":
			for _, name := range t.Names {
				w.dropTable(name)
			}
		case t.Verb == "ALTER":
			for _, p := range t.Parts {
				w.alter(t.Names[0], p)
			}
		}
	}
	return w.drops
}

// columnsMade returns the columns of CREATE TABLE, and one without a name
// where they are not listed.
func columnsMade(t *Tree) []string {
	names := []string{}
	for _, p := range t.Parts {
		if p.Verb == "ADD COLUMN" {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return []string{""}
	}
	return names
}

// A dropWalk follows names through the statements.
type dropWalk struct {
	drops  []Drop
	made   map[string][]string  // tables made on the way, with their columns
	table  map[string]string    // new name of a table that was there: its first one
	column map[[2]string]string // table and new name of a column: its first one
	added  map[[2]string]bool   // table and column
}

func (w *dropWalk) first(table string) string {
	if was, ok := w.table[table]; ok {
		return was
	}
	return table
}

func (w *dropWalk) dropTable(name string) {
	if _, ok := w.made[name]; ok {
		delete(w.made, name)
		return
	}
	w.drops = append(w.drops, Drop{Table: w.first(name)})
}

func (w *dropWalk) alter(table string, p Part) {
	columns, made := w.made[table]
	at := [2]string{table, p.Name}
	switch {
	case p.Verb == "RENAME TO" && made:
		delete(w.made, table)
		w.made[p.To] = columns
		w.replace(p.To, columns)
	case p.Verb == "RENAME TO":
		w.table[p.To] = w.first(table)
	case made:
	case p.Verb == "ADD COLUMN":
		w.added[at] = true
	case p.Verb == "RENAME COLUMN":
		was, ok := w.column[at]
		if !ok {
			was = p.Name
		}
		w.column[[2]string{table, p.To}] = was
	case p.Verb == "DROP COLUMN" && w.added[at]:
		delete(w.added, at)
	case p.Verb == "DROP COLUMN":
		name := p.Name
		if was, ok := w.column[at]; ok {
			name = was
		}
		w.drops = append(w.drops, Drop{Table: w.first(table), Column: name})
	}
}

// replace notes that a table takes the place of one that was dropped.
func (w *dropWalk) replace(table string, columns []string) {
	if slices.Contains(columns, "") {
		return // nobody knows which columns it has: all of the former one is kept
	}
	for i, d := range w.drops {
		if d.Table == table && d.Column == "" {
			w.drops[i].Stays = columns
		}
	}
}

// WithoutNotNull takes NOT NULL out of the definition of a column.
func WithoutNotNull(def string, d Dialect) string {
	c, err := newCursor(def, d)
	if err != nil {
		return def
	}
	depth := 0
	for i := range c.tokens {
		switch {
		case c.is(i, "("):
			depth++
		case c.is(i, ")"):
			depth--
		case depth == 0 && c.is(i, "NOT") && c.is(i+1, "NULL"):
			return strings.TrimSpace(def[:c.tokens[i].start]) + def[c.tokens[i+1].end:]
		}
	}
	return def
}
