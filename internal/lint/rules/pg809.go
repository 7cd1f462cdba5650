package rules

import (
	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg809 is about: Migration not idempotent outside a transaction.
func pg809() lint.Rule {
	return lint.Rule{
		ID: "PG809", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "Migration not idempotent outside a transaction",
			Versions:  "all",
			Rollback:  "half-applied state",
			Safe:      "IF [NOT] EXISTS + state table per statement",
		},
		Check: checkPG809,
	}
}

func checkPG809(o *lint.Op) []lint.Hit {
	if !o.Alone || o.Tx.In || !o.First || !changesSchema(o) || repeatable(o) {
		return nil
	}
	return []lint.Hit{{
		Message: "Outside of a transaction, what fails half-way is begun anew, and this fails then: write IF [NOT] EXISTS, or let shiplock keep the count of statements.", Keeps: true,
	}}
}
