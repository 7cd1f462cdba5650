package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg602 is about: ALTER TYPE RENAME VALUE.
func pg602() lint.Rule {
	return lint.Rule{
		ID: "PG602", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ALTER TYPE RENAME VALUE",
			Locks:     "no table lock",
			Versions:  "all",
			Breaks:    "YES: old literal fails 22P02",
			Rollback:  "re-breaks new",
			Safe:      "add new value, migrate rows, stop using old",
		},
		Check: checkPG602,
	}
}

func checkPG602(o *lint.Op) []lint.Hit {
	if o.Verb != "ALTER" || o.Object != "TYPE" || verb(o) != "RENAME VALUE" || o.Schema.New("type", o.Name()) {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ALTER TYPE %s RENAME VALUE '%s' makes every statement of the running release that names the old value fail (22P02); add a new one, move the rows, and stop using the old.", o.Name(), o.Actions[0].Name),
		Breaks:  true, Keeps: true, Stuck: true,
		Rewrite: fmt.Sprintf("ALTER TYPE %s ADD VALUE '…';\n-- then move the rows in batches, and leave '%s' where it is", lint.Quote(o.Name()), o.Actions[0].Name),
	}}
}
