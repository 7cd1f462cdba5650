package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg308 is about: ADD UNIQUE / PRIMARY KEY (builds index).
func pg308() lint.Rule {
	return lint.Rule{
		ID: "PG308", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD UNIQUE / PRIMARY KEY (builds index)",
			Locks:     "ACCESS EXCLUSIVE + scan/index build",
			Versions:  "all",
			Breaks:    "YES if old code writes duplicates",
			Rollback:  "down OK",
			Safe:      "CREATE UNIQUE INDEX CONCURRENTLY + ADD CONSTRAINT USING INDEX",
		},
		Check: checkPG308,
	}
}

func checkPG308(o *lint.Op) []lint.Hit {
	d, ok := o.AddsConstraint("UNIQUE")
	if !ok {
		d, ok = o.AddsConstraint("PRIMARY KEY")
	}
	if !ok || d.Index != "" {
		return nil
	}
	suffix := "key"
	if d.Kind == "PRIMARY KEY" {
		suffix = "pkey"
		d.Name = orElse(d.Name, last(o.Table)+"_pkey")
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD %s on %s (%s) builds an index while nobody can use the table, and writes of the running release that repeat a value fail; let a release go first that never does.", d.Kind, o.Table, strings.Join(d.Columns, ", ")),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.IndexBuild, Keeps: true, Breaks: !o.Schema.OnNew(o.Table, d.Columns),
		Rewrite: uniqueSteps(o, named(d, o.Table, suffix), d.Kind, d.Columns),
	}}
}
