package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg603 is about: Remove enum value (recreate type + ALTER TYPE).
func pg603() lint.Rule {
	return lint.Rule{
		ID: "PG603", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "Remove enum value (recreate type + ALTER TYPE)",
			Locks:     "ACCESS EXCLUSIVE + rewrite",
			Versions:  "all",
			Breaks:    "YES",
			Safe:      "leave value; or CHECK",
		},
		Check: checkPG603,
	}
}

func checkPG603(o *lint.Op) []lint.Hit {
	c := changeOf(o)
	if c.rule != "PG603" {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("TYPE of %s to %s, made to leave a value out, writes %s anew while nobody can use it, and writes of the running release with that value fail.", o.Of(), o.Part.Type, o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.Rewrite, Breaks: true, Stuck: true,
		Rewrite: fmt.Sprintf("-- leave the value in the type, and refuse it with a CHECK:\nALTER TABLE %s ADD CONSTRAINT %s CHECK (%s <> '…') NOT VALID;", lint.Quote(o.Table), lint.Quote(last(o.Table)+"_"+o.Part.Name+"_known"), lint.Quote(o.Part.Name)),
	}}
}
