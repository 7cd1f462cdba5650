package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg312 is about: ADD EXCLUDE.
func pg312() lint.Rule {
	return lint.Rule{
		ID: "PG312", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD EXCLUDE",
			Locks:     "ACCESS EXCLUSIVE + index build; no concurrent form",
			Versions:  "all",
			Breaks:    "YES",
			Safe:      "new table or maintenance window",
		},
		Check: checkPG312,
	}
}

func checkPG312(o *lint.Op) []lint.Hit {
	if _, ok := o.AddsConstraint("EXCLUDE"); !ok {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD EXCLUDE on %s builds an index while nobody can use the table, there is no concurrent form, and writes of the running release that do not satisfy it fail.", o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.IndexBuild, Breaks: true, Keeps: true,
		Rewrite: "-- make a new table with the constraint and move the rows, or do it within a maintenance window",
	}}
}
