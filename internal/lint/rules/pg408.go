package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg408 is about: Hash/GiST/expression/partial index with non-immutable or CIC + partial waits.
func pg408() lint.Rule {
	return lint.Rule{
		ID: "PG408", Class: lint.Info, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "Hash/GiST/expression/partial index with non-immutable or CIC + partial waits",
			Locks:     "as PG402",
			Versions:  "all",
		},
		Check: checkPG408,
	}
}

func checkPG408(o *lint.Op) []lint.Hit {
	if !o.Creates("INDEX") || !o.Concurrently || !o.Known(o.Table) || o.Tx.In {
		return nil
	}
	var what string
	switch {
	case o.Expressions:
		what = "an index on an expression"
	case o.Where != "":
		what = "a partial index"
	case o.Method != "" && o.Method != "btree":
		what = "an index of kind " + o.Method
	default:
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("This is %s: what it calls must be immutable, and the build waits as any other.", what), Keeps: true,
	}}
}
