package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg511 is about: SET LOGGED/UNLOGGED, SET TABLESPACE (different), SET ACCESS METHOD (different).
func pg511() lint.Rule {
	return lint.Rule{
		ID: "PG511", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "SET LOGGED/UNLOGGED, SET TABLESPACE (different), SET ACCESS METHOD (different)",
			Locks:     "ACCESS EXCLUSIVE + rewrite",
			Versions:  "all",
			Breaks:    "No",
			Safe:      "new table + swap",
		},
		Check: checkPG511,
	}
}

func checkPG511(o *lint.Op) []lint.Hit {
	if !o.Is("SET LOGGED", "SET UNLOGGED", "SET TABLESPACE", "SET ACCESS METHOD") {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("%s writes %s anew while nobody can use it.", o.Part.Verb, o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.Rewrite, Keeps: true,
		Rewrite: "-- make a new table, copy in batches, and switch the names, or do it within a maintenance window",
	}}
}
