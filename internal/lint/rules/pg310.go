package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg310 is about: ADD PRIMARY KEY USING INDEX on nullable column.
func pg310() lint.Rule {
	return lint.Rule{
		ID: "PG310", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD PRIMARY KEY USING INDEX on nullable column",
			Locks:     "ACCESS EXCLUSIVE + full scan (implicit SET NOT NULL)",
			Versions:  "all",
			Breaks:    "No",
			Safe:      "SET NOT NULL safely first",
		},
		Check: checkPG310,
	}
}

func checkPG310(o *lint.Op) []lint.Hit {
	d, ok := o.AddsConstraint("PRIMARY KEY")
	if !ok || d.Index == "" {
		return nil
	}
	columns := d.Columns
	if i := o.Schema.Index(d.Index); i != nil {
		columns = i.Columns
	}
	var open []string
	for _, name := range columns {
		if c := o.Schema.Column(o.Table, name); c == nil || !c.NotNull && notNullChecked(o, name) == nil {
			open = append(open, name)
		}
	}
	if len(columns) > 0 && len(open) == 0 {
		return nil
	}
	which := "one of its columns"
	var steps []string
	if len(open) > 0 {
		which = strings.Join(open, ", ")
		for _, name := range open {
			steps = append(steps, notNullSteps(o, name, true))
		}
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD PRIMARY KEY USING INDEX %s reads all rows of %s while nobody can use it unless %s is NOT NULL already.", d.Index, o.Table, which),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.Scan, Keeps: true, Rewrite: lines(append(steps, o.SQL+";")...),
	}}
}
