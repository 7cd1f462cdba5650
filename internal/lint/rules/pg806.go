package rules

import (
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg806 is about: Migration lock implemented with blocking pg_advisory_lock().
func pg806() lint.Rule {
	return lint.Rule{
		ID: "PG806", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "Migration lock implemented with blocking pg_advisory_lock()",
			Locks:     "a waiting session holds a snapshot => CIC of the lock holder waits forever (measured); golang-migrate does this, goose polls pg_try_advisory_lock",
			Versions:  "all",
			Breaks:    "deploy hang",
			Safe:      "poll try-lock; set application_name; TCP keepalives",
		},
		Check: checkPG806,
	}
}

func checkPG806(o *lint.Op) []lint.Hit {
	for _, call := range o.Calls {
		switch strings.TrimPrefix(call, "pg_catalog.") {
		case "pg_advisory_lock", "pg_advisory_xact_lock", "pg_advisory_lock_shared", "pg_advisory_xact_lock_shared":
			return []lint.Hit{{
				Message: "A session that waits in " + call + " holds a snapshot, and CREATE INDEX CONCURRENTLY of who holds the lock never ends; try the lock again and again instead.", Keeps: true,
				Rewrite: "SELECT pg_try_advisory_lock(…); -- until it is true, a second apart",
			}}
		}
	}
	return nil
}
