package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg807 is about: VALIDATE in same transaction as ADD NOT VALID.
func pg807() lint.Rule {
	return lint.Rule{
		ID: "PG807", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "VALIDATE in same transaction as ADD NOT VALID",
			Locks:     "ACCESS EXCLUSIVE kept during scan",
			Versions:  "all",
			Breaks:    "blocks",
			Safe:      "separate txn",
		},
		Check: checkPG807,
	}
}

func checkPG807(o *lint.Op) []lint.Hit {
	if !o.Is("VALIDATE CONSTRAINT") || !o.Tx.In || !o.Tx.NotValid[o.Of()] {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("VALIDATE CONSTRAINT %s in the transaction that added it reads all rows of %s while the lock of the ADD is held: nobody can use it.", o.Part.Name, o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.Scan, Keeps: true, Rewrite: "-- in a file of its own, after the other is committed:\n" + o.SQL + ";",
	}}
}
