package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// sl108 is about: CREATE INDEX.
func sl108() lint.Rule {
	return lint.Rule{
		ID: "SL108", Class: lint.Warn, Dialect: sqltext.SQLite,
		Facts: lint.Facts{
			Operation: "CREATE INDEX",
			Locks:     "WRITER until it is built; there is no CONCURRENTLY",
			Versions:  "all",
			Breaks:    "UNIQUE: writes that repeat a value",
			Safe:      "when little is written",
		},
		Check: checkSL108,
	}
}

func checkSL108(o *lint.Op) []lint.Hit {
	if !o.Creates("INDEX") || !o.Known(o.Table) {
		return nil
	}
	if t := o.Schema.Table(o.Table); t != nil && t.Rebuilt {
		return nil
	}
	h := lint.Hit{
		Message: fmt.Sprintf("CREATE INDEX on %s keeps all writers off until it is built.", o.Table), Locks: lint.On(o.Table, lint.Writer), Work: lint.IndexBuild, Keeps: true,
	}
	if o.Unique && !o.Schema.OnNew(o.Table, o.KeyColumns) {
		h.Breaks = true
		h.Message = fmt.Sprintf("CREATE UNIQUE INDEX on %s makes writes of the running release fail when they repeat a value; let a release go first that never does.", o.Table)
	}
	return []lint.Hit{h}
}
