package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// sl106 is about: what SQLite's ALTER TABLE does not know: SET DEFAULT, TYPE, ADD UNIQUE, ADD FOREIGN KEY and the like.
func sl106() lint.Rule {
	return lint.Rule{
		ID: "SL106", Class: lint.Block, Dialect: sqltext.SQLite,
		Facts: lint.Facts{
			Operation: "what SQLite's ALTER TABLE does not know: SET DEFAULT, TYPE, ADD UNIQUE, ADD FOREIGN KEY and the like",
			Locks:     "none: the statement fails",
			Versions:  "all",
			Breaks:    "depends on what it is",
			Safe:      "the table is made anew",
		},
		Check: checkSL106,
	}
}

func checkSL106(o *lint.Op) []lint.Hit {
	if o.Part == nil || o.Object != "TABLE" || o.Verb != "ALTER" || o.Is("ADD COLUMN", "DROP COLUMN", "RENAME COLUMN", "RENAME TO", "SET NOT NULL", "DROP NOT NULL", "DROP CONSTRAINT") {
		return nil
	}
	if o.Part.Verb == "ADD CONSTRAINT" && (o.Part.Constraint.Kind == "CHECK" || o.Part.Constraint.Kind == "NOT NULL") || o.Schema.NewTable(o.Table) {
		return nil
	}
	return []lint.Hit{{Message: fmt.Sprintf("SQLite's ALTER TABLE does not know %s: the table has to be made anew.", orElse(o.Part.Verb, "this")), Breaks: true, Keeps: true, Rewrite: rebuildSteps(o)}}
}
