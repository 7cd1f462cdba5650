package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg805 is about: lock_timeout left on for CONCURRENTLY statements.
func pg805() lint.Rule {
	return lint.Rule{
		ID: "PG805", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "lock_timeout left on for CONCURRENTLY statements",
			Locks:     "CIC/DETACH CONCURRENTLY/DROP INDEX CONCURRENTLY wait on virtualxids, counted by lock_timeout (measured 55P03 + INVALID index)",
			Versions:  "all",
			Safe:      "per-statement timeouts",
		},
		Check: checkPG805,
	}
}

func checkPG805(o *lint.Op) []lint.Hit {
	if off(o.Tx.LockTimeout) || o.Tx.In {
		return nil
	}
	waits := o.Concurrently && (o.Object == "INDEX" || o.Verb == "REINDEX") || o.Is("DETACH PARTITION CONCURRENTLY")
	if !waits {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("lock_timeout = %s also bounds how long CONCURRENTLY waits for other transactions: it fails (55P03) and leaves an INVALID index behind.", o.Tx.LockTimeout), Keeps: true,
		Rewrite: "SET lock_timeout = 0;\n" + o.SQL + ";",
	}}
}
