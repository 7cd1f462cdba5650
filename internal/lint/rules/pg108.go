package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg108 is about: ADD COLUMN NOT NULL, no default.
func pg108() lint.Rule {
	return lint.Rule{
		ID: "PG108", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD COLUMN NOT NULL, no default",
			Locks:     "ACCESS EXCLUSIVE; fails 23502 if any row",
			Versions:  "all",
			Breaks:    "YES on empty/small table: every old INSERT fails",
			Rollback:  "down = DROP COLUMN: loses values written by the new version",
			Safe:      "nullable or constant default -> backfill -> CHECK NOT VALID -> VALIDATE -> SET NOT NULL",
		},
		Check: checkPG108,
	}
}

func checkPG108(o *lint.Op) []lint.Hit {
	d, ok := o.Adds()
	if !ok || !(d.NotNull || d.Primary) || filled(d) {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD COLUMN %s NOT NULL without a default fails when %s has a row, and makes every insert of the running release fail when it has none; add it with a constant default, or without NOT NULL.", o.Of(), o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.Scan, Breaks: true, Keeps: true,
		Rewrite: lines(
			addColumn(o, d.Type, ""),
			"-- deploy a release that always writes it, then:",
			fill(o, lint.Quote(d.Name)+" = …", lint.Quote(d.Name)+" IS NULL"),
			notNullSteps(o, d.Name, true),
		),
	}}
}
