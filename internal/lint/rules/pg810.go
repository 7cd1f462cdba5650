package rules

import (
	"slices"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg810 is about: Long-running transaction / idle in transaction at deploy time.
func pg810() lint.Rule {
	return lint.Rule{
		ID: "PG810", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "Long-running transaction / idle in transaction at deploy time",
			Locks:     "delays ACCESS EXCLUSIVE and CIC",
			Versions:  "all",
			Safe:      "pre-flight check pg_stat_activity; report blockers",
		},
		Check: checkPG810,
	}
}

func checkPG810(o *lint.Op) []lint.Hit {
	switch {
	case o.Verb == "SELECT" && slices.Contains(o.Calls, "pg_sleep"):
		return []lint.Hit{{Message: "pg_sleep keeps the transaction and its snapshot open: vacuum, CREATE INDEX CONCURRENTLY and every ALTER TABLE wait behind it.", Keeps: true}}
	case o.End && o.Last && o.Tx.Explicit && o.Tx.In && o.Verb != "COMMIT" && o.Verb != "END":
		return []lint.Hit{{Message: "The transaction that BEGIN opens is still open at the end of the file.", Keeps: true}}
	}
	return nil
}
