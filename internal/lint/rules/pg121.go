package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg121 is about: SET NOT NULL.
func pg121() lint.Rule {
	return lint.Rule{
		ID: "PG121", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "SET NOT NULL",
			Locks:     "ACCESS EXCLUSIVE + full scan",
			Versions:  "PG>=12: no scan when a VALID CHECK (col IS NOT NULL) exists; PG11: scan anyway (measured); NOT VALID check does not help",
			Breaks:    "YES: old code writing NULL fails",
			Rollback:  "down OK",
			Safe:      "CHECK NOT VALID -> VALIDATE -> SET NOT NULL -> DROP CHECK; PG18: ADD CONSTRAINT .. NOT NULL c NOT VALID -> VALIDATE",
		},
		Check: checkPG121,
	}
}

func checkPG121(o *lint.Op) []lint.Hit {
	if !o.Is("SET NOT NULL") {
		return nil
	}
	c := o.Column()
	if c != nil && c.Known && c.NotNull {
		return []lint.Hit{{
			Class: lint.Info, Keeps: true, Locks: lint.On(o.Table, lint.AccessExclusive), Message: fmt.Sprintf("%s is NOT NULL already; nothing changes.", o.Of()),
		}}
	}
	checked := notNullChecked(o, o.Part.Name)
	h := lint.Hit{
		Locks: lint.On(o.Table, lint.AccessExclusive), Work: lint.Scan, Keeps: true,
		Breaks:  checked == nil && !(o.NewColumn() && c.Filled()),
		Rewrite: notNullSteps(o, o.Part.Name, true),
	}
	switch {
	case checked != nil && o.Version >= 12:
		return []lint.Hit{{
			Class: lint.Info, Keeps: true, Locks: h.Locks,
			Message: fmt.Sprintf("SET NOT NULL on %s reads no row, since %s is valid.", o.Of(), checked.Name),
		}}
	case checked != nil:
		h.Message = fmt.Sprintf("SET NOT NULL on %s reads all rows of %s while nobody can use it: PostgreSQL 11 does not look at the CHECK that proves it.", o.Of(), o.Table)
	default:
		h.Message = fmt.Sprintf("SET NOT NULL on %s reads all rows of %s while nobody can use it, and writes of the running release that leave it empty fail; let a release go first that always fills it.", o.Of(), o.Table)
	}
	return []lint.Hit{h}
}
