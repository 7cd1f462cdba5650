package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg505 is about: DETACH PARTITION.
func pg505() lint.Rule {
	return lint.Rule{
		ID: "PG505", Class: lint.Gate, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "DETACH PARTITION",
			Locks:     "ACCESS EXCLUSIVE on parent (child SHARE UPDATE EXCLUSIVE <=13, ACCESS EXCLUSIVE >=14)",
			Versions:  "CONCURRENTLY PG>=14: two txns, waits for all parent users, INSERT to that range fails afterwards",
			Breaks:    "YES: rows for that range have no partition (23514)",
			Rollback:  "re-attach scans",
			Safe:      "DETACH CONCURRENTLY; FINALIZE if interrupted; not allowed with DEFAULT partition",
		},
		Check: checkPG505,
	}
}

func checkPG505(o *lint.Op) []lint.Hit {
	if !o.Is("DETACH PARTITION", "DETACH PARTITION CONCURRENTLY", "DETACH PARTITION FINALIZE") {
		return nil
	}
	child := lint.Plain(o.Part.Name)
	h := lint.Hit{
		Message: fmt.Sprintf("DETACH PARTITION %s takes its rows away from %s, and writes of the running release for that range fail (23514); do it in a later release.", child, o.Table),
		Locks:   append(lint.On(o.Table, lint.AccessExclusive), lint.On(child, lint.AccessExclusive)...), Breaks: true, Stuck: true,
	}
	if o.Version < 14 {
		h.Locks[1].Mode = lint.ShareUpdateExclusive
	}
	if o.Part.Verb != "DETACH PARTITION" {
		h.Locks = lint.On(o.Table, lint.ShareUpdateExclusive)
		if o.Tx.In && o.Part.Verb == "DETACH PARTITION CONCURRENTLY" {
			h.Class, h.Message = lint.Block, fmt.Sprintf("DETACH PARTITION %s CONCURRENTLY fails (25001): it runs within a transaction.", child)
		}
	} else if o.Version >= 14 {
		h.Rewrite = fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY; -- outside of a transaction; not with a DEFAULT partition", lint.Quote(o.Table), lint.Quote(child))
	}
	return []lint.Hit{h}
}
