package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg102 is about: ADD COLUMN ... DEFAULT constant or STABLE (now()).
func pg102() lint.Rule {
	return lint.Rule{
		ID: "PG102", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD COLUMN ... DEFAULT constant or STABLE (now())",
			Locks:     "ACCESS EXCLUSIVE, metadata only",
			Versions:  "PG>=11 metadata only; PG<=10 rewrites (documented, not measured). now() is STABLE => no rewrite, one value for all rows",
			Breaks:    "No, except server-prepared `SELECT *` (SQLSTATE 0A000) - driver must re-prepare",
			Rollback:  "down = DROP COLUMN: loses values written by the new version",
			Safe:      "Allow on >=11",
		},
		Check: checkPG102,
	}
}

func checkPG102(o *lint.Op) []lint.Hit {
	d, ok := o.Adds()
	if !ok || d.Default == "" || volatility(o, d.Default) != constant || !plainColumn(o, d) {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD COLUMN %s with the default %s stores the default once, for all rows; no row is written. Statements `SELECT *` that the running release prepared fail once with 0A000.", o.Of(), d.Default),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Stuck: true, Keeps: true,
	}}
}
