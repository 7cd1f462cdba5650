package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg203 is about: Widening: varchar(n)->varchar(m>n)/varchar/text, text<->varchar, numeric(p,s)->(p+,s)/numeric, domain->base type.
func pg203() lint.Rule {
	return lint.Rule{
		ID: "PG203", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "Widening: varchar(n)->varchar(m>n)/varchar/text, text<->varchar, numeric(p,s)->(p+,s)/numeric, domain->base type",
			Locks:     "ACCESS EXCLUSIVE, metadata only",
			Versions:  "all 11-18",
			Breaks:    "prepared statements 0A000 even though metadata-only (measured)",
			Rollback:  "down (re-adding a limit) = rewrite and can fail",
			Safe:      "Allow with lock_timeout; needs catalog knowledge of the current type",
		},
		Check: checkPG203,
	}
}

func checkPG203(o *lint.Op) []lint.Hit {
	c := changeOf(o)
	if c.rule != "PG203" {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("TYPE of %s from %s to %s is wider and changes the catalogue alone; statements that the running release prepared fail once with 0A000, and the way down writes the table anew.", o.Of(), c.from, o.Part.Type),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Keeps: true, Stuck: true,
	}}
}
