package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg003 is about: INSERT or COPY into a table that exists.
func pg003() lint.Rule {
	return lint.Rule{
		ID: "PG003", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "INSERT or COPY into a table that exists",
			Locks:     "ROW EXCLUSIVE on the table",
			Versions:  "all",
			Breaks:    "the running release reads the rows",
			Rollback:  "the way down has to know which rows they were",
			Safe:      "declare phase=backfill with the reason why the running release can live with the rows",
		},
		Check: checkPG003,
	}
}

func checkPG003(o *lint.Op) []lint.Hit {
	if o.Verb != "INSERT" && o.Verb != "COPY" && o.Verb != "MERGE" && (o.Verb != "WITH" && o.Verb != "EXPLAIN" || o.Head.Object == "SELECT") {
		return nil
	}
	if o.Verb == "WITH" || o.Verb == "EXPLAIN" {
		return []lint.Hit{{Message: fmt.Sprintf("%s … %s changes rows the running release uses; do it in batches, in a migration that is declared phase=backfill.", o.Verb, o.Head.Object), Data: true, Breaks: true}}
	}
	if !o.Known(o.Table) || bookkeeping(o.Table) {
		return nil
	}
	if o.Verb == "MERGE" {
		return []lint.Hit{{Message: fmt.Sprintf("MERGE changes rows of %s that the running release uses; do it in batches, in a migration that is declared phase=backfill.", o.Table), Locks: lint.On(o.Table, lint.RowExclusive), Work: lint.RowWork, Data: true, Breaks: true}}
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("%s puts rows into %s that the running release will read; declare phase=backfill with the reason why it can live with them.", o.Verb, o.Table),
		Locks:   lint.On(o.Table, lint.RowExclusive), Work: lint.RowWork, Data: true, Keeps: true, Breaks: true,
	}}
}
