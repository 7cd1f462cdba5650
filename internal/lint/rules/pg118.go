package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg118 is about: RENAME COLUMN.
func pg118() lint.Rule {
	return lint.Rule{
		ID: "PG118", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "RENAME COLUMN",
			Locks:     "ACCESS EXCLUSIVE metadata",
			Versions:  "all",
			Breaks:    "YES",
			Rollback:  "down re-breaks the new version; fine before new code is live",
			Safe:      "expand/contract (new col + sync trigger + backfill) or table rename + updatable view exposing both names",
		},
		Check: checkPG118,
	}
}

func checkPG118(o *lint.Op) []lint.Hit {
	if !o.Is("RENAME COLUMN") || o.NewColumn() {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("RENAME COLUMN %s makes every query of the running release that names it fail; add %s beside it, write both, fill it in batches, and drop the old one in a later release.", o.Of(), o.Part.To),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Breaks: true, Keeps: true, Stuck: true,
		Rewrite: renameSteps(o),
	}}
}
