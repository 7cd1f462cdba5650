package rewrite

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// MostCounted is where counting rows ends: more is "at least so many".
const MostCounted = 10_000

// A Check asks for rows that are in the way of a statement.
type Check struct {
	Line  int
	SQL   string // returns how many there are, no more than [MostCounted]
	What  string // to be said behind the number: "rows of orders have total NULL"
	Fails bool   // the statement fails; else later writes to those rows do
}

// A Checker reads migrations in order of application. Of a table whose rows a
// migration changes itself it says nothing any more: they are not what they
// will be.
type Checker struct {
	Context
	touched map[string]bool
	opaque  bool
}

// NewChecker returns one for what is known of the schema.
func NewChecker(c Context) *Checker { return &Checker{Context: c, touched: map[string]bool{}} }

// Opaque notes that something changed rows and nobody can tell which.
func (c *Checker) Opaque() { c.opaque = true }

// Read returns the checks of a migration's way up.
func (c *Checker) Read(text string) []Check {
	all, err := sqltext.Split(text, c.Dialect)
	if err != nil {
		c.Opaque()
		return nil
	}
	var found []Check
	for _, st := range all {
		t := st.Tree(c.Dialect)
		checks := c.statement(t)
		for i := range checks {
			checks[i].Line = st.Line
		}
		found = append(found, checks...)
		c.note(t)
	}
	return found
}

// note remembers what a statement changes.
func (c *Checker) note(t *sqltext.Tree) {
	switch {
	case t.Unread != "" || t.Verb == "DO" || t.Verb == "CALL" || t.Verb == "WITH" || t.Verb == "SELECT" && len(t.Calls) > 0:
		c.opaque = true
	case t.Verb == "INSERT" || t.Verb == "UPDATE" || t.Verb == "DELETE" || t.Verb == "MERGE" || t.Verb == "TRUNCATE" || t.Verb == "COPY",
		t.Verb == "CREATE" && t.Object == "TABLE", t.Verb == "DROP" && t.Object == "TABLE":
		for _, name := range t.Names {
			c.touched[lint.Plain(name)] = true
		}
	case t.Verb == "ALTER" && t.Object == "TABLE" && len(t.Names) == 1:
		table := lint.Plain(t.Names[0])
		for i := range t.Parts {
			switch p := t.Parts[i]; p.Verb {
			case "ADD COLUMN", "DROP COLUMN", "TYPE":
				c.touched[table+"."+p.Name] = true
			case "RENAME COLUMN":
				c.touched[table+"."+p.Name], c.touched[table+"."+p.To] = true, true
			case "RENAME TO":
				c.touched[lint.Plain(p.To)], c.touched[table] = true, true
			}
		}
	}
}

// settled tells whether rows are now what they will be when the statement
// comes.
func (c *Checker) settled(table string, columns ...string) bool {
	if c.opaque || table == "" || c.touched[table] || c.table(table) == nil {
		return false
	}
	for _, column := range columns {
		if c.touched[table+"."+column] {
			return false
		}
	}
	return true
}

func (c *Checker) statement(t *sqltext.Tree) []Check {
	if t.Verb == "CREATE" && t.Object == "INDEX" && t.Unique && !t.Expressions {
		return c.twice(lint.Plain(t.On), t.KeyColumns, t.Where)
	}
	if t.Verb != "ALTER" || t.Object != "TABLE" || len(t.Names) != 1 {
		return nil
	}
	table := lint.Plain(t.Names[0])
	var found []Check
	for i := range t.Parts {
		switch p := &t.Parts[i]; p.Verb {
		case "SET NOT NULL":
			found = append(found, c.empty(table, p.Name)...)
		case "VALIDATE CONSTRAINT":
			found = append(found, c.validated(table, p.Name)...)
		case "ADD CONSTRAINT":
			found = append(found, c.added(table, p.Constraint)...)
		}
	}
	return found
}

func count(table, where string) string {
	return fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s WHERE %s LIMIT %d) x", lint.Quote(table), where, MostCounted)
}

func (c *Checker) empty(table, column string) []Check {
	if !c.settled(table, column) {
		return nil
	}
	return []Check{{SQL: count(table, lint.Quote(column)+" IS NULL"), What: fmt.Sprintf("rows of %s have %s NULL", table, column), Fails: true}}
}

// validated looks the constraint up: by now it is in the schema.
func (c *Checker) validated(table, name string) []Check {
	k := c.Schema.Constraint(table, name)
	if k == nil || k.Valid {
		return nil
	}
	return c.added(table, sqltext.ConstraintDef{Name: k.Name, Kind: k.Kind, Columns: k.Columns, Expr: k.Expr, References: k.References, RefColumns: k.RefColumns})
}

func (c *Checker) added(table string, d sqltext.ConstraintDef) []Check {
	switch {
	case d.Unchecked || d.Index != "":
		return nil
	case d.Kind == "CHECK" && c.settled(table, c.columnsOf(table, d.Expr)...):
		return []Check{{
			SQL:  count(table, "NOT ("+d.Expr+")"),
			What: fmt.Sprintf("rows of %s do not satisfy %s", table, excerpt(d.Expr)), Fails: !d.NotValid,
		}}
	case d.Kind == "NOT NULL" && len(d.Columns) == 1:
		return c.empty(table, d.Columns[0])
	case d.Kind == "UNIQUE":
		return c.twice(table, d.Columns, "")
	case d.Kind == "PRIMARY KEY":
		found := c.twice(table, d.Columns, "")
		for _, column := range d.Columns {
			found = append(found, c.empty(table, column)...)
		}
		return found
	case d.Kind == "FOREIGN KEY":
		return c.orphans(table, d)
	}
	return nil
}

// twice asks for values that are there more than once. NULLs are not.
func (c *Checker) twice(table string, columns []string, where string) []Check {
	if len(columns) == 0 || !c.settled(table, append(c.columnsOf(table, where), columns...)...) {
		return nil
	}
	var conditions []string
	for _, column := range columns {
		conditions = append(conditions, lint.Quote(column)+" IS NOT NULL")
	}
	if where != "" {
		conditions = append(conditions, "("+where+")")
	}
	return []Check{{
		SQL: fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s WHERE %s GROUP BY %s HAVING count(*) > 1 LIMIT %d) x",
			lint.Quote(table), strings.Join(conditions, " AND "), lint.Quotes(columns), MostCounted),
		What: fmt.Sprintf("values of %s (%s) are there more than once", table, strings.Join(columns, ", ")), Fails: true,
	}}
}

// orphans asks for rows that point to nothing.
func (c *Checker) orphans(table string, d sqltext.ConstraintDef) []Check {
	parent := lint.Plain(d.References)
	to := d.RefColumns
	if len(to) == 0 && c.table(parent) != nil {
		to, _ = c.key(parent)
	}
	if len(to) != len(d.Columns) || !c.settled(table, d.Columns...) || !c.settled(parent, to...) {
		return nil
	}
	var given, equal []string
	for i, column := range d.Columns {
		given = append(given, "c."+lint.Quote(column)+" IS NOT NULL")
		equal = append(equal, fmt.Sprintf("p.%s = c.%s", lint.Quote(to[i]), lint.Quote(column)))
	}
	return []Check{{
		SQL: fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s c WHERE %s AND NOT EXISTS (SELECT 1 FROM %s p WHERE %s) LIMIT %d) x",
			lint.Quote(table), strings.Join(given, " AND "), lint.Quote(parent), strings.Join(equal, " AND "), MostCounted),
		What:  fmt.Sprintf("rows of %s have a %s that is not in %s", table, strings.Join(d.Columns, ", "), parent),
		Fails: !d.NotValid,
	}}
}
