package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg314 is about: ALTER CONSTRAINT DEFERRABLE.
func pg314() lint.Rule {
	return lint.Rule{
		ID: "PG314", Class: lint.Info, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ALTER CONSTRAINT DEFERRABLE",
			Locks:     "ACCESS EXCLUSIVE metadata",
			Versions:  "all",
			Breaks:    "tx semantics change",
			Safe:      "lock retry",
		},
		Check: checkPG314,
	}
}

func checkPG314(o *lint.Op) []lint.Hit {
	if !o.Is("ALTER CONSTRAINT") {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ALTER CONSTRAINT %s changes when it is checked: a transaction of the running release may fail at COMMIT instead of at the statement.", o.Of()),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Keeps: true,
	}}
}
