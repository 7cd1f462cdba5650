package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg514 is about: LOCK TABLE / explicit long transaction.
func pg514() lint.Rule {
	return lint.Rule{
		ID: "PG514", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "LOCK TABLE / explicit long transaction",
			Locks:     "ACCESS EXCLUSIVE",
			Versions:  "all",
			Breaks:    "blocks",
			Safe:      "forbid",
		},
		Check: checkPG514,
	}
}

func checkPG514(o *lint.Op) []lint.Hit {
	if o.Verb != "LOCK" {
		return nil
	}
	mode := lint.AccessExclusive
	for _, m := range []string{"ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE ROW EXCLUSIVE", "SHARE", "EXCLUSIVE", "ACCESS EXCLUSIVE"} {
		if o.Has(append(append([]string{"IN"}, strings.Fields(m)...), "MODE")...) {
			mode = m
		}
	}
	if o.Schema.NewTable(o.Name()) || mode == "ACCESS SHARE" || mode == lint.RowShare {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("LOCK keeps the running release from using %s until the transaction ends; do without it.", o.Name()),
		Locks:   lint.On(o.Name(), mode), Breaks: true, Keeps: true,
	}}
}
