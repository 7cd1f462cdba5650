package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg111 is about: ADD COLUMN ... UNIQUE inline.
func pg111() lint.Rule {
	return lint.Rule{
		ID: "PG111", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD COLUMN ... UNIQUE inline",
			Locks:     "ACCESS EXCLUSIVE + index build (scan)",
			Versions:  "all",
			Breaks:    "No",
			Safe:      "ADD COLUMN; CREATE UNIQUE INDEX CONCURRENTLY; ADD CONSTRAINT USING INDEX",
		},
		Check: checkPG111,
	}
}

func checkPG111(o *lint.Op) []lint.Hit {
	d, ok := o.Adds()
	if !ok || !d.Unique && !d.Primary {
		return nil
	}
	name := fmt.Sprintf("%s_%s_key", last(o.Table), d.Name)
	kind := "UNIQUE"
	if d.Primary {
		name, kind = last(o.Table)+"_pkey", "PRIMARY KEY"
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD COLUMN %s %s builds an index while nobody can use %s.", o.Of(), kind, o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.IndexBuild, Keeps: true, Breaks: d.Primary,
		Rewrite: lines(addColumn(o, d.Type, given(d)), uniqueSteps(o, name, kind, []string{d.Name})),
	}}
}
