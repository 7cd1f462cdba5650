package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg301 is about: ADD CHECK (valid).
func pg301() lint.Rule {
	return lint.Rule{
		ID: "PG301", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD CHECK (valid)",
			Locks:     "ACCESS EXCLUSIVE + full scan",
			Versions:  "all",
			Breaks:    "YES for rows legal before (e.g. negative)",
			Rollback:  "down OK",
			Safe:      "NOT VALID + VALIDATE in separate transaction",
		},
		Check: checkPG301,
	}
}

func checkPG301(o *lint.Op) []lint.Hit {
	d, ok := o.AddsConstraint("CHECK")
	if !ok || d.NotValid || d.Unchecked {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD CHECK on %s reads all its rows while nobody can use it, and writes of the running release that do not satisfy it fail; let a release go first that always does.", o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.Scan, Keeps: true, Breaks: true,
		Rewrite: checkSteps(o, named(d, o.Table, "check"), d.Expr),
	}}
}
