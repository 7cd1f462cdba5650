package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg202 is about: Narrowing: bigint->int, int->smallint, varchar shrink, text->varchar(n), numeric precision shrink, scale change, timestamp(3).
func pg202() lint.Rule {
	return lint.Rule{
		ID: "PG202", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "Narrowing: bigint->int, int->smallint, varchar shrink, text->varchar(n), numeric precision shrink, scale change, timestamp(3)",
			Locks:     "ACCESS EXCLUSIVE + rewrite; fails on oversized rows",
			Versions:  "all",
			Breaks:    "YES: old code writes legal-before values -> 22001/22003",
			Rollback:  "DATA LOSS possible (USING left()/round())",
			Safe:      "CHECK NOT VALID on the new limit first, then expand/contract",
		},
		Check: checkPG202,
	}
}

func checkPG202(o *lint.Op) []lint.Hit {
	c := changeOf(o)
	if c.rule != "PG202" {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("TYPE of %s from %s to %s is narrower: it writes %s anew while nobody can use it, fails on a value that does not fit, and so do later writes of the running release.", o.Of(), c.from, o.Part.Type, o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.Rewrite, Breaks: !o.NewColumn(), Stuck: true, Rewrite: narrowSteps(o),
	}}
}
