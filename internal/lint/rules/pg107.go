package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg107 is about: ADD COLUMN ... VIRTUAL.
func pg107() lint.Rule {
	return lint.Rule{
		ID: "PG107", Class: lint.Info, Dialect: sqltext.Postgres, Since: 18,
		Facts: lint.Facts{
			Operation: "ADD COLUMN ... VIRTUAL",
			Locks:     "ACCESS EXCLUSIVE, metadata only",
			Versions:  "PG18+",
			Breaks:    "prepared SELECT * only",
			Rollback:  "none",
			Safe:      "Allow",
		},
		Check: checkPG107,
	}
}

func checkPG107(o *lint.Op) []lint.Hit {
	d, ok := o.Adds()
	if !ok || d.Generated != "virtual" {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD COLUMN %s is computed when it is read; no row is written.", o.Of()),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Keeps: true,
	}}
}
