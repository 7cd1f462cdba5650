package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg513 is about: SET (fillfactor, autovacuum_*).
func pg513() lint.Rule {
	return lint.Rule{
		ID: "PG513", Class: lint.Info, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "SET (fillfactor, autovacuum_*)",
			Locks:     "SHARE UPDATE EXCLUSIVE",
			Versions:  "all",
			Breaks:    "No",
			Safe:      "Allow",
		},
		Check: checkPG513,
	}
}

func checkPG513(o *lint.Op) []lint.Hit {
	if !o.Is("SET", "RESET") {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("Settings of %s change, and reads and writes go on.", o.Table), Locks: lint.On(o.Table, lint.ShareUpdateExclusive), Keeps: true,
	}}
}
