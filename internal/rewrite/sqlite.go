package rewrite

import (
	"fmt"
	"slices"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// RenameSQLite puts a column of the new name beside the old one. Triggers of
// SQLite run after a row is written, so they write it once more.
func (c Context) RenameSQLite(table, from, to string) (Plan, *Refusal) {
	var p Plan
	r := pair{table: table, from: from, to: to, was: c.column(table, from)}
	if r.was == nil || r.was.Type == "" {
		return p, unknownType(table, from)
	}
	if refusal := c.unmovableSQLite(r); refusal != nil {
		return p, refusal
	}
	t, of := lint.Quote(table), name(table, from, to)
	create, drop := r.triggers(of)
	p.add(Step{
		Name: of + "_add", Phase: ship.Expand, Reason: fmt.Sprintf("%s is new and follows %s in every write, so the running release need not know it", to, from),
		Up:   append([]string{fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", t, lint.Quote(to), r.was.Type)}, create...),
		Down: append(append([]string{}, drop...), fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s", t, lint.Quote(to))),
	})
	q, f := lint.Quote(to), lint.Quote(from)
	if refusal := c.backfill(&p, of, table, q+" = "+f, q+" IS NOT "+f, to+" of the rows that were there before"); refusal != nil {
		return p, refusal
	}
	check := lint.Quote(name(of, "in_step"))
	proof := []string{ // nothing is dropped while a row is left out
		fmt.Sprintf("CREATE TABLE %s (rows_left_out integer CHECK (rows_left_out = 0))", check),
		fmt.Sprintf("INSERT INTO %s SELECT count(*) FROM %s WHERE %s IS NOT %s", check, t, q, f),
		"DROP TABLE " + check,
	}
	p.add(Step{
		Name: of + "_drop", Phase: ship.Contract, Reason: "every release that runs uses " + to + ", and the backfill is done",
		Up: append(append(proof, drop...), fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s", t, f)), Down: r.backSQLite(of),
	})
	p.note("Releases go in three: the first brings %[2]s while the code still says %[1]s, the second says %[2]s once the backfill is done, the third brings the contract.", from, to)
	return p, nil
}

// unmovableSQLite refuses what the new column could not take over: SQLite adds
// no constraint to a table, and drops no column that something needs.
func (c Context) unmovableSQLite(r pair) *Refusal {
	t := c.table(r.table)
	if refusal := c.unmovable(r, t); refusal != nil {
		return refusal
	}
	why := ""
	if r.was.NotNull || r.was.Default != "" {
		why = "it has a default or is NOT NULL, which the new column cannot be given afterwards"
	}
	for _, k := range t.Constraints {
		if k.Kind == "CHECK" && c.mentions(k.Expr, r.from) || k.Kind != "CHECK" && slices.Contains(k.Columns, r.from) {
			why = "the constraint " + k.Name + " is about it"
		}
	}
	for _, i := range c.Schema.Indexes(r.table) {
		if slices.Contains(i.Columns, r.from) || i.Complex && c.mentions(i.Text, r.from) {
			why = "the index " + i.Name + " is about it"
		}
	}
	if why == "" {
		return nil
	}
	return &Refusal{
		Reason: fmt.Sprintf("%s.%s cannot be followed by another column in SQLite: %s", r.table, r.from, why),
		ByHand: "RENAME COLUMN with --accept hold, which takes milliseconds; or keep the old name in the database",
	}
}

// triggers keep the pair in step.
func (r pair) triggers(of string) (create, drop []string) {
	t, f, q := lint.Quote(r.table), lint.Quote(r.from), lint.Quote(r.to)
	for _, on := range []struct{ what, event, when, set string }{
		{"insert", "INSERT", fmt.Sprintf("NEW.%s IS NOT NEW.%s", q, f), fmt.Sprintf("%[1]s = coalesce(NEW.%[1]s, NEW.%[2]s), %[2]s = coalesce(NEW.%[1]s, NEW.%[2]s)", q, f)},
		{"from", "UPDATE OF " + f, fmt.Sprintf("NEW.%s IS NOT OLD.%s AND NEW.%s IS OLD.%s", f, f, q, q), fmt.Sprintf("%s = NEW.%s", q, f)},
		{"to", "UPDATE OF " + q, fmt.Sprintf("NEW.%s IS NOT OLD.%s AND NEW.%s IS NOT NEW.%s", q, q, f, q), fmt.Sprintf("%s = NEW.%s", f, q)},
	} {
		own := lint.Quote(name(of, on.what))
		create = append(create, fmt.Sprintf("CREATE TRIGGER %s AFTER %s ON %s WHEN %s BEGIN\n  UPDATE %s SET %s WHERE rowid = NEW.rowid;\nEND", own, on.event, t, on.when, t, on.set))
		drop = append(drop, "DROP TRIGGER "+own)
	}
	return create, drop
}

func (r pair) backSQLite(of string) []string {
	create, _ := r.triggers(of)
	t := lint.Quote(r.table)
	return append([]string{
		fmt.Sprintf("ALTER TABLE %s RENAME COLUMN %s TO %s", t, lint.Quote(r.to), lint.Quote(r.from)),
		fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", t, lint.Quote(r.to), r.was.Type),
	}, create...)
}

// keepSQLite names what only a table made anew could change.
func (w *walk) keepSQLite(t *sqltext.Tree, p *sqltext.Part, table string) {
	if p.Verb == "SET NOT NULL" || p.Verb == "ADD CONSTRAINT" || p.Verb == "TYPE" {
		w.refuse(Refusal{
			Reason: "SQLite has one writer and no constraint that is proven later: whatever reads all rows of " + table + " keeps writers off until it is done",
			ByHand: "deploy it with --accept hold where the table is small, else with --accept maintenance",
		})
		return
	}
	w.keep(t, p)
}
