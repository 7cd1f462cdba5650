package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg703 is about: CREATE TRIGGER.
func pg703() lint.Rule {
	return lint.Rule{
		ID: "PG703", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "CREATE TRIGGER",
			Locks:     "SHARE ROW EXCLUSIVE",
			Versions:  "all",
			Breaks:    "behaviour of old writes changes; errors in trigger break old app",
			Rollback:  "down ACCESS EXCLUSIVE",
			Safe:      "lock_timeout; test trigger with old app",
		},
		Check: checkPG703,
	}
}

func checkPG703(o *lint.Op) []lint.Hit {
	if o.Verb != "CREATE" || o.Object != "TRIGGER" || !o.Known(o.On) {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("CREATE TRIGGER %s changes what writes of the running release to %s do, and an error in it makes them fail; try it with that release.", o.Name(), lint.Plain(o.On)),
		Locks:   lint.On(o.On, lint.ShareRowExclusive), Breaks: true,
	}}
}
