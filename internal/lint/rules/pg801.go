package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg801 is about: UPDATE/DELETE of whole table in migration.
func pg801() lint.Rule {
	return lint.Rule{
		ID: "PG801", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "UPDATE/DELETE of whole table in migration",
			Locks:     "ROW EXCLUSIVE + row locks + bloat, WAL, replica lag",
			Versions:  "all",
			Breaks:    "row lock waits for old app",
			Rollback:  "irreversible unless saved",
			Safe:      "batched keyset backfill, own transactions",
		},
		Check: checkPG801,
	}
}

func checkPG801(o *lint.Op) []lint.Hit {
	if o.Verb != "UPDATE" && o.Verb != "DELETE" || !o.Known(o.Table) || bookkeeping(o.Table) {
		return nil
	}
	h := lint.Hit{
		Message: fmt.Sprintf("%s changes all rows of %s in one transaction: the running release waits for every one of them, and it cannot be taken back; do it in batches and declare phase=backfill with the reason why the running release can live with it.", o.Verb, o.Table),
		Locks:   lint.On(o.Table, lint.RowExclusive), Work: lint.RowWork, Data: true, Breaks: true, Stuck: true, Rewrite: batches(o),
	}
	switch {
	case few(o.Where):
		h.Class, h.Rewrite = lint.Info, ""
		h.Message = fmt.Sprintf("%s changes rows of %s that the running release uses; declare phase=backfill with the reason why it can live with it.", o.Verb, o.Table)
	case o.Where != "":
		h.Class = lint.Warn
		h.Message = fmt.Sprintf("%s changes rows of %s that the running release uses, and locks them until it is done, however many there are; do it in batches and declare phase=backfill with the reason why the running release can live with it.", o.Verb, o.Table)
	}
	return []lint.Hit{h}
}
