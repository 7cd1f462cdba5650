package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg122 is about: ADD CONSTRAINT .. NOT NULL c NOT VALID.
func pg122() lint.Rule {
	return lint.Rule{
		ID: "PG122", Class: lint.Block, Dialect: sqltext.Postgres, Since: 18,
		Facts: lint.Facts{
			Operation: "ADD CONSTRAINT .. NOT NULL c NOT VALID",
			Locks:     "ACCESS EXCLUSIVE metadata; VALIDATE = SHARE UPDATE EXCLUSIVE + scan",
			Versions:  "PG18+",
			Breaks:    "YES for new NULL writes immediately",
			Rollback:  "down OK",
			Safe:      "preferred on 18",
		},
		Check: checkPG122,
	}
}

func checkPG122(o *lint.Op) []lint.Hit {
	d, ok := o.AddsConstraint("NOT NULL")
	if !ok {
		return nil
	}
	if c := o.Schema.Column(o.Table, d.Columns[0]); c != nil && c.Known && c.NotNull {
		return nil
	}
	on := o.Table + "." + d.Columns[0]
	c := o.Schema.Column(o.Table, d.Columns[0])
	h := lint.Hit{
		Locks: lint.On(o.Table, lint.AccessExclusive), Keeps: true, Breaks: !(c != nil && c.New && c.Filled()),
		Message: fmt.Sprintf("ADD NOT NULL on %s makes writes of the running release that leave it empty fail at once; let a release go first that always fills it.", on),
	}
	if !d.NotValid {
		h.Work = lint.Scan
		h.Message = fmt.Sprintf("ADD NOT NULL on %s reads all rows while nobody can use %s, and writes of the running release that leave it empty fail.", on, o.Table)
		h.Rewrite = notNullSteps(o, d.Columns[0], true)
	}
	return []lint.Hit{h}
}
