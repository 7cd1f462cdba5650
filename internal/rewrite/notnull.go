package rewrite

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/ship"
)

// NotNull makes a column NOT NULL. With fill, an expression on the row, rows
// that lack a value get it: new ones by a trigger, so that a release that
// leaves the column empty goes on working, and old ones by a backfill.
func (c Context) NotNull(table, column, fill string) (Plan, *Refusal) {
	var p Plan
	of := last(table) + "_" + column
	if fill != "" {
		if refusal := c.fill(&p, table, column, fill); refusal != nil {
			return p, refusal
		}
	}
	var after []string // what the trigger leaves when it is no longer needed
	var before []string
	if fill != "" {
		t := c.filler(table, column, fill)
		after, before = t.drop(), t.create()
	}
	switch {
	case c.Version >= 18:
		c.notNull18(&p, table, column, after, before)
		return p, nil
	case c.Version < 12:
		p.note("PostgreSQL 11 reads all rows of %s at SET NOT NULL all the same; keep the CHECK instead where that is too long.", table)
	}
	k := name(last(table), column, "not_null")
	p.add(
		Step{
			Name: of + "_check", Phase: ship.Contract, Reason: fmt.Sprintf("%s.%s is refused when it is empty; no row is read", table, column),
			Up: []string{addCheck(table, k, lint.Quote(column)+" IS NOT NULL", " NOT VALID")}, Down: []string{dropConstraintIfThere(table, k)},
		},
		validated(table, k, of),
		Step{
			Name: of + "_not_null", Phase: ship.Contract, Reason: fmt.Sprintf("the valid CHECK proves that no row of %s lacks %s, so none is read", table, column),
			Up:   append([]string{alterColumn(table, column, "SET NOT NULL"), dropConstraint(table, k)}, after...),
			Down: append(append([]string{}, before...), alterColumn(table, column, "DROP NOT NULL")),
		},
	)
	return p, nil
}

// notNull18 uses the constraint that PostgreSQL 18 has for it, under the name
// that SET NOT NULL gives it.
func (c Context) notNull18(p *Plan, table, column string, after, before []string) {
	of := last(table) + "_" + column
	k := name(last(table), column, "not_null")
	p.add(
		Step{
			Name: of + "_not_null", Phase: ship.Contract, Reason: fmt.Sprintf("%s.%s is refused when it is empty; no row is read", table, column),
			Up:   []string{alter(table, "ADD CONSTRAINT "+lint.Quote(k)+" NOT NULL "+lint.Quote(column)+" NOT VALID")},
			Down: []string{alterColumn(table, column, "DROP NOT NULL")},
		},
		validated(table, k, of),
	)
	if len(after) > 0 {
		p.add(Step{Name: of + "_fill_end", Phase: ship.Contract, Reason: "every release fills " + column + " by itself", Up: after, Down: before})
	}
}

// validated is the step that proves a constraint. Reads and writes go on.
func validated(table, constraint, of string) Step {
	return Step{
		Name: of + "_validate", Phase: ship.Contract, Reason: "reads all rows while reads and writes go on",
		Up: []string{validate(table, constraint)},
	}
}

// filler gives rows a value that come without one.
func (c Context) filler(table, column, fill string) trigger {
	body := fmt.Sprintf("  IF NEW.%[1]s IS NULL THEN\n    NEW.%[1]s := %[2]s;\n  END IF;\n", lint.Quote(column), value(table, fill))
	return newTrigger(table, column+"_fill", body)
}

func (c Context) fill(p *Plan, table, column, fill string) *Refusal {
	of := last(table) + "_" + column
	t := c.filler(table, column, fill)
	p.add(Step{
		Name: of + "_fill", Phase: ship.Expand, Reason: fmt.Sprintf("rows that come without %s get a value, so the running release goes on writing them", column),
		Up: t.create(), Down: t.drop(),
	})
	return c.backfill(p, of, table, fmt.Sprintf("%s = %s", lint.Quote(column), fill), lint.Quote(column)+" IS NULL",
		fmt.Sprintf("%s of the rows that were there before", column))
}

// backfill adds a change of rows in batches.
func (c Context) backfill(p *Plan, of, table, set, where, reason string) *Refusal {
	key, guessed := c.key(table)
	if !fillable(table, key) {
		return &Refusal{
			Reason: fmt.Sprintf("a backfill cannot name the table %s and its key", table),
			ByHand: "write the steps by hand, with a backfill of your own (docs/backfills.md)",
		}
	}
	if guessed {
		p.note("The primary key of %s is not known, key=id in the backfill is a guess: name the schema with --base or --schema, or mend the header.", table)
	}
	p.Backfills = append(p.Backfills, Backfill{
		Name: of, Table: table, Key: key, Guessed: guessed, Reason: reason,
		Statement: fmt.Sprintf("UPDATE %s SET %s WHERE %s AND :page", lint.Quote(table), set, where),
	})
	return nil
}
