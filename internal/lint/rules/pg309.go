package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg309 is about: ADD UNIQUE USING INDEX.
func pg309() lint.Rule {
	return lint.Rule{
		ID: "PG309", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD UNIQUE USING INDEX",
			Locks:     "ACCESS EXCLUSIVE metadata",
			Versions:  "all",
			Breaks:    "No",
			Rollback:  "down drops the index too (index existed before => schema not restored; ON CONFLICT breaks)",
			Safe:      "generate down that recreates the index",
		},
		Check: checkPG309,
	}
}

func checkPG309(o *lint.Op) []lint.Hit {
	d, ok := o.AddsConstraint("UNIQUE")
	if !ok {
		d, ok = o.AddsConstraint("PRIMARY KEY")
	}
	if !ok || d.Index == "" {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD %s USING INDEX %s changes the catalogue alone. The way down drops the index too, which was there before: make it create the index again.", d.Kind, d.Index),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Keeps: true, Stuck: true,
	}}
}
