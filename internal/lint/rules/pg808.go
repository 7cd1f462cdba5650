package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg808 is about: Multiple ALTER TABLE on same table needing scans.
func pg808() lint.Rule {
	return lint.Rule{
		ID: "PG808", Class: lint.Info, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "Multiple ALTER TABLE on same table needing scans",
			Locks:     "repeated scans",
			Versions:  "all",
			Safe:      "merge clauses",
		},
		Check: checkPG808,
	}
}

func checkPG808(o *lint.Op) []lint.Hit {
	if !o.First || !scans(o) || !o.Tx.Scanned[o.Table] {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("An ALTER TABLE before this one reads %s too: one ALTER TABLE with both actions reads it once.", o.Table), Keeps: true,
	}}
}
