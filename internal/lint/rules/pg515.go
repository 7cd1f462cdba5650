package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg515 is about: INHERIT / NO INHERIT.
func pg515() lint.Rule {
	return lint.Rule{
		ID: "PG515", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "INHERIT / NO INHERIT",
			Locks:     "ACCESS EXCLUSIVE child, SHARE UPDATE EXCLUSIVE parent",
			Versions:  "all",
			Breaks:    "result sets change",
		},
		Check: checkPG515,
	}
}

func checkPG515(o *lint.Op) []lint.Hit {
	if !o.Is("INHERIT", "NO INHERIT") {
		return nil
	}
	parent := lint.Plain(o.Part.Value)
	return []lint.Hit{{
		Message: fmt.Sprintf("%s changes which rows queries of the running release on %s see.", o.Part.Verb, parent),
		Locks:   append(lint.On(o.Table, lint.AccessExclusive), known(o, parent, lint.ShareUpdateExclusive)...), Breaks: true, Keeps: true,
	}}
}
