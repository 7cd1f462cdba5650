package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg402 is about: CREATE INDEX CONCURRENTLY.
func pg402() lint.Rule {
	return lint.Rule{
		ID: "PG402", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "CREATE INDEX CONCURRENTLY",
			Locks:     "SHARE UPDATE EXCLUSIVE; waits for every older snapshot in the database",
			Versions:  "all; error 25001 in txn",
			Breaks:    "No (UNIQUE: duplicate writes start failing before the build finishes)",
			Rollback:  "leaves INVALID index on failure/timeout",
			Safe:      "own non-txn step; lock_timeout 0 or >=120s for this statement only; drop INVALID before retry; poll pg_try_advisory_lock (never block in pg_advisory_lock)",
		},
		Check: checkPG402,
	}
}

func checkPG402(o *lint.Op) []lint.Hit {
	if !o.Creates("INDEX") || !o.Concurrently {
		return nil
	}
	if o.Tx.In {
		return []lint.Hit{{
			Message: fmt.Sprintf("CREATE INDEX CONCURRENTLY on %s fails (25001): it runs within a transaction.", o.Table), Keeps: true,
			Rewrite: outside(o) + "\n" + o.SQL + ";",
		}}
	}
	if !o.Known(o.Table) {
		return nil
	}
	h := lint.Hit{
		Class: lint.Info, Keeps: true, Locks: lint.On(o.Table, lint.ShareUpdateExclusive), Work: lint.IndexBuild,
		Message: fmt.Sprintf("CREATE INDEX CONCURRENTLY on %s waits for every older snapshot in the database; when it fails it leaves an INVALID index behind.", o.Table),
	}
	if o.Unique && !o.Schema.OnNew(o.Table, o.KeyColumns) {
		h.Class, h.Breaks = lint.Warn, true
		h.Message = fmt.Sprintf("CREATE UNIQUE INDEX CONCURRENTLY on %s makes writes of the running release fail when they repeat a value, even before it is built; let a release go first that never does.", o.Table)
	}
	return []lint.Hit{h}
}
