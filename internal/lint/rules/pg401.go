package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg401 is about: CREATE INDEX.
func pg401() lint.Rule {
	return lint.Rule{
		ID: "PG401", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "CREATE INDEX",
			Locks:     "SHARE: blocks all writes + scan",
			Versions:  "all",
			Breaks:    "No",
			Rollback:  "down OK",
			Safe:      "CONCURRENTLY outside txn",
		},
		Check: checkPG401,
	}
}

func checkPG401(o *lint.Op) []lint.Hit {
	if !o.Creates("INDEX") || o.Concurrently || !o.Known(o.Table) || partitioned(o) {
		return nil
	}
	h := lint.Hit{
		Message: fmt.Sprintf("CREATE INDEX on %s keeps writers off until the index is built; build it CONCURRENTLY.", o.Table),
		Locks:   lint.On(o.Table, lint.Share), Work: lint.IndexBuild, Keeps: true, Rewrite: concurrently(o),
	}
	if o.Unique && !o.Schema.OnNew(o.Table, o.KeyColumns) {
		h.Breaks = true
		h.Message = fmt.Sprintf("CREATE UNIQUE INDEX on %s keeps writers off until it is built, and makes writes of the running release fail when they repeat a value; let a release go first that never does.", o.Table)
	}
	return []lint.Hit{h}
}
