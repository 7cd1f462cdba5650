package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg207 is about: ALTER TYPE (even metadata-only widening) on a column with CHECK constraints.
func pg207() lint.Rule {
	return lint.Rule{
		ID: "PG207", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ALTER TYPE (even metadata-only widening) on a column with CHECK constraints",
			Locks:     "ACCESS EXCLUSIVE + full re-validation scan",
			Versions:  "all",
			Breaks:    "prepared 0A000",
			Safe:      "drop checks, change, re-add NOT VALID, validate",
		},
		Check: checkPG207,
	}
}

func checkPG207(o *lint.Op) []lint.Hit {
	if !o.Is("TYPE") {
		return nil
	}
	t := o.Schema.Table(o.Table)
	if t == nil || changeOf(o).rule == "" {
		return nil
	}
	var found []string
	var after []string
	for _, k := range t.Constraints {
		if k.Kind == "CHECK" && mentions(k.Expr+" "+strings.Join(k.Columns, " "), o.Part.Name) {
			found = append(found, k.Name)
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.Sort(found)
	drops := make([]string, len(found))
	for i, name := range found {
		drops[i] = fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s;", lint.Quote(o.Table), lint.Quote(name))
		after = append(after, checkSteps(o, name, t.Constraints[name].Expr))
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("TYPE of %s reads all rows of %s while nobody can use it, to check %s again.", o.Of(), o.Table, strings.Join(found, ", ")),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.Scan, Keeps: true,
		Rewrite: lines(lines(drops...), o.SQL+";", lines(after...)),
	}}
}
