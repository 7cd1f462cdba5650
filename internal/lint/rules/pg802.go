package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg802 is about: Backfill + DDL in one transaction.
func pg802() lint.Rule {
	return lint.Rule{
		ID: "PG802", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "Backfill + DDL in one transaction",
			Locks:     "lock held until commit",
			Versions:  "all",
			Breaks:    "blocks",
			Safe:      "separate files",
		},
		Check: checkPG802,
	}
}

func checkPG802(o *lint.Op) []lint.Hit {
	if !o.Tx.In || !o.First {
		return nil
	}
	switch {
	case (o.Verb == "UPDATE" || o.Verb == "DELETE" || o.Verb == "INSERT" && o.Has("SELECT")) && len(o.Tx.Held) > 0 && o.Known(o.Table) && !bookkeeping(o.Table):
		return []lint.Hit{{
			Message: fmt.Sprintf("%s runs while the transaction holds %s locked against everybody, until it is committed; make two files of it.", o.Verb, held(o)), Keeps: true,
			Work: lint.RowWork, Rewrite: outsideOf("the change of rows"),
		}}
	case len(o.Tx.Rows) > 0 && takesHeavy(o):
		return []lint.Hit{{
			Message: fmt.Sprintf("This changes the schema in the transaction that changed rows of %s: all its locks are held until it is committed; make two files of it.", sorted(o.Tx.Rows)), Keeps: true,
			Rewrite: outsideOf("the change of rows"),
		}}
	}
	return nil
}
