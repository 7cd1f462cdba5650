package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg124 is about: SET EXPRESSION on generated column.
func pg124() lint.Rule {
	return lint.Rule{
		ID: "PG124", Class: lint.Block, Dialect: sqltext.Postgres, Since: 17,
		Facts: lint.Facts{
			Operation: "SET EXPRESSION on generated column",
			Locks:     "ACCESS EXCLUSIVE + rewrite",
			Versions:  "PG17+",
			Breaks:    "No",
			Safe:      "new column",
		},
		Check: checkPG124,
	}
}

func checkPG124(o *lint.Op) []lint.Hit {
	if !o.Is("SET EXPRESSION") {
		return nil
	}
	if c := o.Column(); c != nil && c.Generated == "virtual" {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("SET EXPRESSION on %s writes %s anew while nobody can use it.", o.Of(), o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.Rewrite,
		Rewrite: fmt.Sprintf("-- add a column with the new expression beside it, and drop %s in a later release", o.Part.Name),
	}}
}
