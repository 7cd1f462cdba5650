package rules

import (
	"fmt"
	"slices"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg110 is about: ADD COLUMN ... CHECK inline.
func pg110() lint.Rule {
	return lint.Rule{
		ID: "PG110", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD COLUMN ... CHECK inline",
			Locks:     "ACCESS EXCLUSIVE + full scan",
			Versions:  "all",
			Breaks:    "No",
			Safe:      "ADD COLUMN; ADD CONSTRAINT NOT VALID; VALIDATE",
		},
		Check: checkPG110,
	}
}

func checkPG110(o *lint.Op) []lint.Hit {
	d, ok := o.Adds()
	if !ok || len(d.Checks) == 0 || d.Unchecked {
		return nil
	}
	steps := []string{addColumn(o, d.Type, given(d))}
	for i, check := range d.Checks {
		steps = append(steps, checkSteps(o, fmt.Sprintf("%s_%s_check%s", last(o.Table), d.Name, number(i)), check))
	}
	h := lint.Hit{
		Message: fmt.Sprintf("ADD COLUMN %s with a CHECK reads all rows of %s while nobody can use it.", o.Of(), o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.Scan, Keeps: true, Rewrite: lines(steps...),
	}
	if !filled(d) && slices.ContainsFunc(d.Checks, demandsValue) {
		h.Breaks = true
		h.Message += " Inserts of the running release that leave it out fail; give it a constant default."
	}
	return []lint.Hit{h}
}
