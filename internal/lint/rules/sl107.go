package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// sl107 is about: UPDATE, DELETE, INSERT, REPLACE on a table that exists.
func sl107() lint.Rule {
	return lint.Rule{
		ID: "SL107", Class: lint.Warn, Dialect: sqltext.SQLite,
		Facts: lint.Facts{
			Operation: "UPDATE, DELETE, INSERT, REPLACE on a table that exists",
			Locks:     "WRITER until COMMIT: every other writer gets \"database is locked\"",
			Versions:  "all",
			Breaks:    "the running release reads the rows, and its writes wait",
			Rollback:  "cannot be taken back",
			Safe:      "in batches, each in a transaction of its own, with a pause between them",
		},
		Check: checkSL107,
	}
}

func checkSL107(o *lint.Op) []lint.Hit {
	switch o.Verb {
	case "UPDATE", "DELETE", "INSERT", "REPLACE":
	case "WITH", "EXPLAIN":
		if o.Head.Object == "SELECT" {
			return nil
		}
		return []lint.Hit{{Message: fmt.Sprintf("%s … %s changes rows the running release uses; do it in batches, in a migration that is declared phase=backfill.", o.Verb, o.Head.Object), Data: true, Breaks: true}}
	default:
		return nil
	}
	if !o.Known(o.Table) || bookkeeping(o.Table) {
		return nil
	}
	h := lint.Hit{
		Message: fmt.Sprintf("%s changes rows of %s that the running release uses, and keeps all writers off until it is done; do it in batches and declare phase=backfill with the reason why the running release can live with it.", o.Verb, o.Table),
		Locks:   lint.On(o.Table, lint.Writer), Work: lint.RowWork, Data: true, Breaks: true, Stuck: true,
	}
	switch {
	case o.Verb == "INSERT":
		h.Keeps, h.Stuck = true, false
		h.Message = fmt.Sprintf("INSERT puts rows into %s that the running release will read; declare phase=backfill with the reason why it can live with them.", o.Table)
	case o.Where == "":
		h.Class, h.Rewrite = lint.Block, batches(o)
	}
	return []lint.Hit{h}
}
