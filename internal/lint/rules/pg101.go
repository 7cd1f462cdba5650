package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg101 is about: ADD COLUMN nullable, no default.
func pg101() lint.Rule {
	return lint.Rule{
		ID: "PG101", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD COLUMN nullable, no default",
			Locks:     "ACCESS EXCLUSIVE on table, metadata only",
			Versions:  "all 11-18 same",
			Breaks:    "No, except server-prepared `SELECT *` (SQLSTATE 0A000) - driver must re-prepare",
			Rollback:  "down = DROP COLUMN: loses values written by the new version",
			Safe:      "Add as-is with lock_timeout+retry; roll back code first and keep the column",
		},
		Check: checkPG101,
	}
}

func checkPG101(o *lint.Op) []lint.Hit {
	d, ok := o.Adds()
	if !ok || d.Default != "" || !plainColumn(o, d) {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD COLUMN %s changes the catalogue alone. Statements `SELECT *` that the running release prepared fail once with 0A000, and the way down loses what was written to it.", o.Of()),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Stuck: true, Keeps: true,
	}}
}
