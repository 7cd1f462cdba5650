package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg316 is about: RENAME CONSTRAINT.
func pg316() lint.Rule {
	return lint.Rule{
		ID: "PG316", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "RENAME CONSTRAINT",
			Locks:     "ACCESS EXCLUSIVE metadata",
			Versions:  "all",
			Breaks:    "code that matches constraint names in errors / ON CONFLICT ON CONSTRAINT",
			Safe:      "contract",
		},
		Check: checkPG316,
	}
}

func checkPG316(o *lint.Op) []lint.Hit {
	if !o.Is("RENAME CONSTRAINT") {
		return nil
	}
	if k := o.Schema.Constraint(o.Table, o.Part.Name); k != nil && k.New {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("RENAME CONSTRAINT %s on %s breaks code of the running release that goes by the name in errors and in ON CONFLICT ON CONSTRAINT; keep the name.", o.Part.Name, o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Breaks: true, Keeps: true,
	}}
}
