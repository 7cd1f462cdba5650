package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg119 is about: SET DEFAULT.
func pg119() lint.Rule {
	return lint.Rule{
		ID: "PG119", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "SET DEFAULT",
			Locks:     "ACCESS EXCLUSIVE metadata",
			Versions:  "all",
			Breaks:    "Semantically yes: old INSERTs that omit the column get the new value (Rails caches defaults; see GitLab SafelyChangeColumnDefault)",
			Safe:      "treat as behaviour change; order code first",
		},
		Check: checkPG119,
	}
}

func checkPG119(o *lint.Op) []lint.Hit {
	if !o.Is("SET DEFAULT") || o.NewColumn() {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("SET DEFAULT on %s: inserts of the running release that leave the column out get %s from then on.", o.Of(), o.Part.Value),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Keeps: true,
	}}
}
