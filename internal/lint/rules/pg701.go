package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg701 is about: CREATE OR REPLACE VIEW (add col at end).
func pg701() lint.Rule {
	return lint.Rule{
		ID: "PG701", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "CREATE OR REPLACE VIEW (add col at end)",
			Locks:     "ACCESS EXCLUSIVE on view",
			Versions:  "all",
			Breaks:    "No; removing/reordering columns is error 42P16",
			Safe:      "new view name + switch",
		},
		Check: checkPG701,
	}
}

func checkPG701(o *lint.Op) []lint.Hit {
	if o.Verb != "CREATE" || o.Object != "VIEW" || !o.OrReplace || o.Schema.New("view", o.Name()) {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("CREATE OR REPLACE VIEW %s may add columns at the end; taking one away or moving one fails (42P16).", o.Name()),
		Locks:   lint.On(o.Name(), lint.AccessExclusive), Keeps: true,
	}}
}
