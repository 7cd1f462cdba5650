package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg302 is about: ADD CHECK NOT VALID.
func pg302() lint.Rule {
	return lint.Rule{
		ID: "PG302", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD CHECK NOT VALID",
			Locks:     "ACCESS EXCLUSIVE metadata",
			Versions:  "all",
			Breaks:    "YES immediately: new violating writes AND any UPDATE (even of other columns) of existing violating rows fail (measured)",
			Rollback:  "down OK",
			Safe:      "fix data + old code first; verify 0 violating rows before adding",
		},
		Check: checkPG302,
	}
}

func checkPG302(o *lint.Op) []lint.Hit {
	d, ok := o.AddsConstraint("CHECK")
	if !ok || !d.NotValid || d.Unchecked {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD CHECK … NOT VALID on %s reads no row, but from then on writes of the running release that do not satisfy it fail, and so does every UPDATE of an old row that does not, even of another column; mend the rows first.", o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Keeps: true, Breaks: true,
		Rewrite: fmt.Sprintf("-- how many rows would fail:\nSELECT count(*) FROM %s WHERE NOT (%s);", lint.Quote(o.Table), d.Expr),
	}}
}
