package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg803 is about: Several tables locked ACCESS EXCLUSIVE in one transaction.
func pg803() lint.Rule {
	return lint.Rule{
		ID: "PG803", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "Several tables locked ACCESS EXCLUSIVE in one transaction",
			Locks:     "wide lock window, deadlocks with app lock order",
			Versions:  "all",
			Breaks:    "deadlock 40P01",
			Safe:      "one table per txn, or fixed order",
		},
		Check: checkPG803,
	}
}

func checkPG803(o *lint.Op) []lint.Hit {
	if !o.Tx.In {
		return nil
	}
	for _, l := range o.Locks {
		if l.Mode == lint.AccessExclusive && !o.Tx.Held[l.Table] && len(o.Tx.Held) > 0 {
			return []lint.Hit{{
				Message: fmt.Sprintf("The transaction locks %s while it holds %s: nobody can use any of them until it is committed, and a transaction that takes them in another order deadlocks (40P01); one table a transaction.", l.Table, held(o)), Keeps: true,
			}}
		}
	}
	return nil
}
