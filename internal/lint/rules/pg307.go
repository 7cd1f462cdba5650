package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg307 is about: FK without index on referencing side.
func pg307() lint.Rule {
	return lint.Rule{
		ID: "PG307", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "FK without index on referencing side",
			Versions:  "all",
			Breaks:    "slow deletes/updates on parent",
			Safe:      "CREATE INDEX CONCURRENTLY first",
		},
		Check: checkPG307,
	}
}

func checkPG307(o *lint.Op) []lint.Hit {
	d, ok := o.AddsConstraint("FOREIGN KEY")
	table := o.Table
	if c, adds := o.Adds(); adds && c.References != "" {
		d, ok = sqltext.ConstraintDef{Columns: []string{c.Name}, References: c.References}, true
	}
	if !ok || indexed(o, table, d.Columns) {
		return nil
	}
	t := o.Schema.Table(table)
	if !o.NewColumns(d.Columns) && (t == nil || !t.Whole) {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("The foreign key on %s (%s) has no index that begins with it: every DELETE and key UPDATE in %s reads all of %s.", table, strings.Join(d.Columns, ", "), lint.Plain(d.References), table),
		Keeps:   true,
		Rewrite: fmt.Sprintf("CREATE INDEX CONCURRENTLY %s ON %s (%s); -- outside of a transaction", lint.Quote(last(table)+"_"+strings.Join(d.Columns, "_")+"_idx"), lint.Quote(table), lint.Quotes(d.Columns)),
	}}
}
