package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg105 is about: ADD COLUMN ... GENERATED AS IDENTITY.
func pg105() lint.Rule {
	return lint.Rule{
		ID: "PG105", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD COLUMN ... GENERATED AS IDENTITY",
			Locks:     "ACCESS EXCLUSIVE + rewrite",
			Versions:  "all 11-18",
			Breaks:    "prepared SELECT * only",
			Rollback:  "down = DROP COLUMN: loses values written by the new version",
			Safe:      "as PG104; or new table",
		},
		Check: checkPG105,
	}
}

func checkPG105(o *lint.Op) []lint.Hit {
	d, ok := o.Adds()
	if !ok || !d.Identity {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD COLUMN %s as identity fills it for every row and so writes %s anew while nobody can use it.", o.Of(), o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.Rewrite, Keeps: true,
		Rewrite: sequenceSteps(o, d.Name, d.Type),
	}}
}
