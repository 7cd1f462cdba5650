package rewrite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/ship"
)

// A pair is a column and the one that is to take its place.
type pair struct {
	table, from, to string
	kind            string // type of to
	expr            string // what to holds, of the columns of a row
	both            bool   // from follows to as well
	takes           bool   // to gets the name of from in the end
	was             *lint.Column
}

// Rename puts a column of the new name beside the old one. A trigger keeps both
// in step, whichever a release writes, until no release uses the old one.
func (c Context) Rename(table, from, to string) (Plan, *Refusal) {
	r := pair{table: table, from: from, to: to, expr: lint.Quote(from), both: true}
	if r.was = c.column(table, from); r.was != nil {
		r.kind = r.was.Type
	}
	if r.kind == "" {
		return Plan{}, unknownType(table, from)
	}
	if r.was.Collate != "" {
		r.kind += " COLLATE " + lint.Quote(r.was.Collate)
	}
	p, refusal := c.swap(r)
	if refusal == nil {
		p.note("Releases go in three: the first brings %[2]s while the code still says %[1]s, the second says %[2]s once the backfill is done, the third brings the contract.", from, to)
	}
	return p, refusal
}

// Type puts a column of the new type beside the old one, and exchanges them
// when it is filled.
func (c Context) Type(table, column, kind, using string) (Plan, *Refusal) {
	r := pair{table: table, from: column, to: name(column, "new"), kind: kind, takes: true, was: c.column(table, column)}
	if r.was == nil || r.was.Type == "" {
		return Plan{}, unknownType(table, column)
	}
	r.expr = lint.Quote(column) + "::" + kind
	if using != "" {
		r.expr = "(" + using + ")"
	} else if !fits(c.Schema.Domain(r.was.Type), kind) {
		return Plan{}, &Refusal{
			Reason: fmt.Sprintf("not every %s fits into %s, so writes of the running release would fail", r.was.Type, kind),
			ByHand: "say with USING how a value becomes one that fits; or add a CHECK for what fits first, in a release of its own, and then change the type",
		}
	}
	p, refusal := c.swap(r)
	if refusal == nil && using != "" {
		p.note("Where %s fails for a row, writes of the running release fail: try it with SELECT first.", using)
	}
	return p, refusal
}

func unknownType(table, column string) *Refusal {
	return &Refusal{
		Reason: fmt.Sprintf("the type of %s.%s is not known here", table, column),
		ByHand: "name the schema with --base FILE or --schema FILE (shiplock schema snapshot writes one), or run it in the folder of all migrations",
	}
}

// Fits tells whether every value of one type is one of another.
func fits(from, to string) bool {
	if to == "text" || to == "varchar" {
		return true
	}
	wider := map[string][]string{
		"smallint": {"integer", "bigint", "numeric", "real", "double precision"}, "integer": {"bigint", "numeric", "double precision"}, "bigint": {"numeric"},
		"real": {"double precision", "numeric"}, "double precision": {"numeric"}, "json": {"jsonb"}, "jsonb": {"json"},
		"date": {"timestamp", "timestamptz"}, "timestamp": {"timestamptz"}, "timestamptz": {"timestamp"},
	}
	return slices.Contains(wider[from], to)
}

// swap puts to beside from, in step, and takes from away in the contract.
func (c Context) swap(r pair) (Plan, *Refusal) {
	var p Plan
	copies, refusal := c.copies(r)
	if refusal != nil {
		return p, refusal
	}
	sync := r.sync()
	of := name(last(r.table), r.from, r.to)
	p.add(Step{
		Name: of + "_add", Phase: ship.Expand, Reason: fmt.Sprintf("%s is new and follows %s in every write, so the running release need not know it", r.to, r.from),
		Up:   append([]string{alter(r.table, "ADD COLUMN "+lint.Quote(r.to)+" "+r.kind)}, sync.create()...),
		Down: append(sync.drop(), alter(r.table, "DROP COLUMN "+lint.Quote(r.to))),
	})
	for _, k := range copies {
		p.add(k.expand...)
	}
	if refusal := c.backfill(&p, of, r.table, lint.Quote(r.to)+" = "+r.expr, distinct(r.kind, lint.Quote(r.to), r.expr), fmt.Sprintf("%s of the rows that were there before", r.to)); refusal != nil {
		return p, refusal
	}
	p.add(c.inStep(r, of)...)
	for _, k := range copies {
		p.add(k.contract...)
	}
	p.add(c.end(r, of, copies))
	return p, nil
}

// sync keeps the pair in step.
func (r pair) sync() trigger {
	from, to := lint.Quote(r.from), lint.Quote(r.to)
	of := name(r.from, r.to, "sync")
	if !r.both {
		return newTrigger(r.table, of, fmt.Sprintf("  NEW.%s := %s;\n", to, r.row()))
	}
	// An INSERT that names the old column alone leaves the new one empty. In an
	// UPDATE the column that changed counts, and the new one when both did.
	return newTrigger(r.table, of, fmt.Sprintf("  IF TG_OP = 'INSERT' AND NEW.%[2]s IS NOT NULL OR TG_OP = 'UPDATE' AND %[3]s THEN\n    NEW.%[1]s := NEW.%[2]s;\n  ELSE\n    NEW.%[2]s := NEW.%[1]s;\n  END IF;\n",
		from, to, distinct(r.kind, "NEW."+to, "OLD."+to)))
}

// row is what to holds, of the row of a trigger.
func (r pair) row() string {
	if rest, ok := strings.CutPrefix(r.expr, lint.Quote(r.from)); ok && (rest == "" || strings.HasPrefix(rest, "::")) {
		return "NEW." + r.expr
	}
	return value(r.table, r.expr)
}

// distinct compares two values. Those of json cannot be compared as they are.
func distinct(kind, a, b string) string {
	if kind == "json" || kind == "xml" || kind == "point" {
		a, b = "("+a+")::text", "("+b+")::text"
	}
	return a + " IS DISTINCT FROM " + b
}

// inStep are the steps that prove that no row is left out, without keeping
// anybody off: the constraint goes with the old column.
func (c Context) inStep(r pair, of string) []Step {
	k := name(last(r.table), r.from, r.to, "in_step")
	expr := strings.Replace(distinct(r.kind, lint.Quote(r.to), r.expr), " IS DISTINCT FROM ", " IS NOT DISTINCT FROM ", 1)
	if r.was.NotNull {
		expr = lint.Quote(r.to) + " IS NOT NULL AND " + expr
	}
	return []Step{
		{
			Name: of + "_in_step", Phase: ship.Contract, Reason: "no row is read; the trigger makes every row that is written satisfy it",
			Up: []string{addCheck(r.table, k, expr, " NOT VALID")}, Down: []string{dropConstraintIfThere(r.table, k)},
		},
		{
			Name: of + "_in_step_validate", Phase: ship.Contract, Reason: "proves that the backfill left no row out, while reads and writes go on",
			Up: []string{validate(r.table, k)},
		},
	}
}

// end takes the old column away and gives the new one what the old one had.
func (c Context) end(r pair, of string, copies []copied) Step {
	s := Step{Name: of + "_drop", Phase: ship.Contract, Reason: fmt.Sprintf("every release that runs uses %s, and every row has it", r.to)}
	if r.takes {
		s.Reason = fmt.Sprintf("every release that runs can live with %s as %s, and every row has it", r.from, r.kind)
	}
	s.Up = r.sync().drop()
	if r.was.Default != "" {
		s.Up = append(s.Up, alterColumn(r.table, r.to, "SET DEFAULT "+r.was.Default))
	}
	if r.was.NotNull {
		s.Up = append(s.Up, alterColumn(r.table, r.to, "SET NOT NULL"))
	}
	s.Up = append(s.Up, alter(r.table, "DROP COLUMN "+lint.Quote(r.from)))
	if r.takes {
		s.Up = append(s.Up, alter(r.table, "RENAME COLUMN "+lint.Quote(r.to)+" TO "+lint.Quote(r.from)))
	}
	for _, k := range copies {
		s.Up = append(s.Up, k.end...)
	}
	if r.takes {
		s.WhyNot = fmt.Sprintf("values of %s may not fit into %s again", r.kind, r.was.Type)
		return s
	}
	s.Down = r.back()
	return s
}

// back makes the pair again after the old column is gone: the full column gets
// its old name back, and the new one is to be filled again.
func (r pair) back() []string {
	down := []string{alter(r.table, "RENAME COLUMN "+lint.Quote(r.to)+" TO "+lint.Quote(r.from)), alter(r.table, "ADD COLUMN "+lint.Quote(r.to)+" "+r.kind)}
	down[0] = "-- take back the migrations that brought " + r.to + ", too, before applying this one again\n" + down[0]
	return append(down, r.sync().create()...)
}
