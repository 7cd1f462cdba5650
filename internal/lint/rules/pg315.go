package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg315 is about: DROP CHECK.
func pg315() lint.Rule {
	return lint.Rule{
		ID: "PG315", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "DROP CHECK",
			Locks:     "ACCESS EXCLUSIVE metadata",
			Versions:  "all",
			Breaks:    "No",
			Rollback:  "down FAILS 23514 after violating writes",
			Safe:      "keep NOT VALID twin during window",
		},
		Check: checkPG315,
	}
}

func checkPG315(o *lint.Op) []lint.Hit {
	switch dropped(o).kind {
	case "CHECK", "NOT NULL", "EXCLUDE":
	default:
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("DROP CONSTRAINT %s lets in rows that the running release does not expect, and the way down fails (23514) once there are some.", o.Of()),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Stuck: true,
	}}
}
