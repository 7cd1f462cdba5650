package rewrite

import (
	"fmt"
	"slices"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// addColumn takes an ADD COLUMN on a table that exists: what comes with the
// column and needs all rows is done after it.
func (w *walk) addColumn(t *sqltext.Tree, p *sqltext.Part, table string) {
	d := p.Def
	fill := w.Fill[table+"."+d.Name]
	required := d.NotNull && d.Default == "" && d.Generated == "" && !d.Identity
	late := d.Default != "" && w.Dialect == sqltext.Postgres && perRow(d.Default)
	inline := len(d.Checks) > 0 && !d.Unchecked || d.Unique || d.References != "" && d.Default != ""
	switch {
	case d.Primary || d.Identity || d.Generated == "stored" || isSerial(d.Type):
		w.refuse(Refusal{
			Reason: "a column whose values are made by the database is written into every row while nobody can use the table",
			ByHand: "add a plain column, give new rows their value with a default or a trigger, and fill the old ones with a backfill; grant the application the sequence",
		})
	case required && fill == "":
		w.refuse(Refusal{
			Reason: fmt.Sprintf("what the rows that are there shall hold in %s.%s is not known", table, d.Name),
			ByHand: fmt.Sprintf("--fill %s.%s=EXPRESSION, or give the column a DEFAULT", table, d.Name),
		})
	case w.Dialect == sqltext.Postgres && (required || late || inline):
		w.take(w.splitColumn(table, d, fill))
	default:
		w.keep(t, p)
	}
}

func isSerial(kind string) bool {
	return slices.Contains([]string{"serial", "bigserial", "smallserial", "serial4", "serial8", "serial2"}, kind)
}

// splitColumn adds a column in the steps that need no work on all rows.
func (w *walk) splitColumn(table string, d sqltext.ColumnDef, fill string) (Plan, *Refusal) {
	var p Plan
	add := Step{
		Name: name(last(table), d.Name, "add"), Phase: ship.Expand, Reason: "the running release does not know the column, and no row is written anew",
		Down: []string{alter(table, "DROP COLUMN "+lint.Quote(d.Name))},
	}
	text := "ADD COLUMN " + lint.Quote(d.Name) + " " + d.Type
	if d.Collate != "" {
		text += " COLLATE " + lint.Quote(d.Collate)
	}
	late := d.Default != "" && perRow(d.Default)
	if d.Default != "" && !late {
		text += " DEFAULT " + d.Default
		if d.NotNull {
			text += " NOT NULL"
		}
	}
	add.Up = []string{alter(table, text)}
	if late {
		add.Up = append(add.Up, alterColumn(table, d.Name, "SET DEFAULT "+d.Default))
	}
	p.add(add)
	if late {
		if refusal := w.backfill(&p, name(last(table), d.Name), table, lint.Quote(d.Name)+" = "+d.Default, lint.Quote(d.Name)+" IS NULL", d.Name+" of the rows that were there before"); refusal != nil {
			return p, refusal
		}
	}
	for _, k := range inlineConstraints(d) {
		var more Plan
		var refusal *Refusal
		if k.Kind == "UNIQUE" {
			more, refusal = w.Unique(table, k)
		} else {
			w.refers(table, k)
			more = w.NotValid(table, k)
		}
		if refusal != nil {
			return p, refusal
		}
		p.add(more.Steps...)
		p.Notes = append(p.Notes, more.Notes...)
	}
	if !d.NotNull || d.Default != "" && !late {
		return p, nil
	}
	more, refusal := w.NotNull(table, d.Name, fill)
	p.add(more.Steps...)
	p.Backfills, p.Notes = append(p.Backfills, more.Backfills...), append(p.Notes, more.Notes...)
	return p, refusal
}

// inlineConstraints are the constraints that come with a column.
func inlineConstraints(d sqltext.ColumnDef) []Constraint {
	var all []Constraint
	only := []string{d.Name}
	for _, check := range d.Checks {
		all = append(all, Constraint{ConstraintDef: sqltext.ConstraintDef{Kind: "CHECK", Expr: check, Columns: only}, New: true})
	}
	if d.Unique {
		all = append(all, Constraint{ConstraintDef: sqltext.ConstraintDef{Kind: "UNIQUE", Columns: only}, New: true})
	}
	if d.References != "" {
		all = append(all, Constraint{ConstraintDef: sqltext.ConstraintDef{Kind: "FOREIGN KEY", Columns: only, References: d.References, RefColumns: d.RefColumns, Options: d.RefOptions}, New: true})
	}
	return all
}

// perRow tells whether a default may be another for each row, which makes the
// database write all of them.
func perRow(expr string) bool {
	st := sqltext.Statement{SQL: "SELECT " + expr}
	return slices.ContainsFunc(st.Head(sqltext.Postgres).Calls, func(call string) bool {
		return !slices.Contains([]string{
			"now", "statement_timestamp", "transaction_timestamp", "current_timestamp", "localtimestamp", "current_time", "localtime",
			"numeric", "decimal", "varchar", "char", "character", "varying", "timestamp", "timestamptz", "time", "timetz", "bit", "varbit", "interval",
		}, call)
	})
}
