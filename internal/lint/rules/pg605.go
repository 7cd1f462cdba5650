package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg605 is about: ALTER TYPE composite ADD/DROP ATTRIBUTE.
func pg605() lint.Rule {
	return lint.Rule{
		ID: "PG605", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ALTER TYPE composite ADD/DROP ATTRIBUTE",
			Locks:     "ACCESS EXCLUSIVE on the type; tables using it may be checked",
			Versions:  "all",
			Breaks:    "row-literal code",
		},
		Check: checkPG605,
	}
}

func checkPG605(o *lint.Op) []lint.Hit {
	if o.Verb != "ALTER" || o.Object != "TYPE" || !o.Has("ATTRIBUTE") || o.Schema.New("type", o.Name()) {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ALTER TYPE %s … ATTRIBUTE changes what a value of it is made of: code of the running release that writes such values as rows fails.", o.Name()), Breaks: true, Stuck: true,
	}}
}
