package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg804 is about: No lock_timeout.
func pg804() lint.Rule {
	return lint.Rule{
		ID: "PG804", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "No lock_timeout",
			Locks:     "queued ACCESS EXCLUSIVE blocks every later SELECT (measured)",
			Versions:  "all",
			Breaks:    "outage",
			Safe:      "lock_timeout 100ms-2s + retries",
		},
		Check: checkPG804,
	}
}

func checkPG804(o *lint.Op) []lint.Hit {
	heavy := ""
	for _, l := range o.Locks {
		if heavyMode(l.Mode) {
			heavy = l.Table
		}
	}
	if heavy == "" || o.Concurrently {
		return nil
	}
	off := off(o.Tx.LockTimeout)
	if !off || o.Tx.LockTimeout == "" && !o.Alone || len(o.Tx.Held) > 0 && o.Tx.In {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("This waits for %s without a lock_timeout, and every query on it waits behind it meanwhile.", heavy), Keeps: true,
		Rewrite: "SET lock_timeout = '2s'; -- and try again when it fails\n" + o.SQL + ";",
	}}
}
