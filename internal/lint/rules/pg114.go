package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg114 is about: ADD COLUMN of a DOMAIN type that has constraints.
func pg114() lint.Rule {
	return lint.Rule{
		ID: "PG114", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD COLUMN of a DOMAIN type that has constraints",
			Locks:     "ACCESS EXCLUSIVE + full rewrite even when nullable without default",
			Versions:  "all 11-18",
			Breaks:    "prepared SELECT * only",
			Safe:      "base type + table CHECK NOT VALID",
		},
		Check: checkPG114,
	}
}

func checkPG114(o *lint.Op) []lint.Hit {
	d, ok := o.Adds()
	if !ok || !constrainedDomain(o, d.Type) {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD COLUMN %s of the domain %s, which has constraints, writes %s anew while nobody can use it, even without a default.", o.Of(), d.Type, o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.Rewrite, Keeps: true,
		Rewrite: lines(addColumn(o, o.Schema.Domain(d.Type), given(d)),
			checkSteps(o, fmt.Sprintf("%s_%s_check", last(o.Table), d.Name), "… the domain's condition on "+lint.Quote(d.Name)+" …")),
	}}
}
