package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg106 is about: ADD COLUMN ... GENERATED ALWAYS AS () STORED.
func pg106() lint.Rule {
	return lint.Rule{
		ID: "PG106", Class: lint.Block, Dialect: sqltext.Postgres, Since: 12,
		Facts: lint.Facts{
			Operation: "ADD COLUMN ... GENERATED ALWAYS AS () STORED",
			Locks:     "ACCESS EXCLUSIVE + rewrite",
			Versions:  "PG>=12",
			Breaks:    "prepared SELECT * only",
			Rollback:  "down = DROP COLUMN: loses values written by the new version",
			Safe:      "plain column + trigger + backfill, or VIRTUAL on 18",
		},
		Check: checkPG106,
	}
}

func checkPG106(o *lint.Op) []lint.Hit {
	d, ok := o.Adds()
	if !ok || d.Generated != "stored" {
		return nil
	}
	rewrite := lines(addColumn(o, d.Type, ""), "-- let a trigger fill it on INSERT and UPDATE, then fill what is there in batches")
	if o.Version >= 18 {
		rewrite = fmt.Sprintf("ALTER TABLE %s %s;", lint.Quote(o.Table), strings.Replace(partText(o), "STORED", "VIRTUAL", 1))
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD COLUMN %s computed and stored writes %s anew while nobody can use it.", o.Of(), o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.Rewrite, Keeps: true, Rewrite: rewrite,
	}}
}
