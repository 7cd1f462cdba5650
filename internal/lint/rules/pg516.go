package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg516 is about: REFRESH MATERIALIZED VIEW.
func pg516() lint.Rule {
	return lint.Rule{
		ID: "PG516", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "REFRESH MATERIALIZED VIEW",
			Locks:     "ACCESS EXCLUSIVE on matview; CONCURRENTLY = EXCLUSIVE (blocks writes/other refresh, reads OK, needs unique index)",
			Versions:  "all",
			Breaks:    "blocks reads",
			Safe:      "CONCURRENTLY, run as job not migration",
		},
		Check: checkPG516,
	}
}

func checkPG516(o *lint.Op) []lint.Hit {
	if o.Verb != "REFRESH" || o.Schema.New("materialized view", o.Name()) {
		return nil
	}
	h := lint.Hit{
		Message: fmt.Sprintf("REFRESH keeps the running release from reading %s until it is done; do it CONCURRENTLY, and as a job rather than as a migration.", o.Name()),
		Locks:   lint.On(o.Name(), lint.AccessExclusive), Work: lint.Rewrite, Breaks: true, Keeps: true,
		Rewrite: fmt.Sprintf("REFRESH MATERIALIZED VIEW CONCURRENTLY %s; -- needs a unique index on it", lint.Quote(o.Name())),
	}
	if o.Concurrently {
		h.Class, h.Breaks, h.Rewrite = lint.Warn, false, ""
		h.Locks = lint.On(o.Name(), lint.Exclusive)
		h.Message = fmt.Sprintf("REFRESH CONCURRENTLY of %s keeps other refreshes off, and reads go on; do it as a job rather than as a migration.", o.Name())
	}
	return []lint.Hit{h}
}
