package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg115 is about: ADD COLUMN json.
func pg115() lint.Rule {
	return lint.Rule{
		ID: "PG115", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD COLUMN json",
			Locks:     "ACCESS EXCLUSIVE metadata",
			Versions:  "all",
			Breaks:    "SELECT DISTINCT/GROUP BY/UNION over * break (no equality operator)",
			Safe:      "jsonb",
		},
		Check: checkPG115,
	}
}

func checkPG115(o *lint.Op) []lint.Hit {
	d, ok := o.Adds()
	if !ok || d.Type != "json" {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD COLUMN %s as json: the type has no equality, so SELECT DISTINCT *, GROUP BY and UNION over all columns of %s fail from then on.", o.Of(), o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Keeps: true, Stuck: true,
		Rewrite: addColumn(o, "jsonb", given(d)),
	}}
}
