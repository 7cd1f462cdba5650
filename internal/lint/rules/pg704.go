package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg704 is about: DROP TRIGGER / CREATE RULE / CREATE POLICY.
func pg704() lint.Rule {
	return lint.Rule{
		ID: "PG704", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "DROP TRIGGER / CREATE RULE / CREATE POLICY",
			Locks:     "ACCESS EXCLUSIVE",
			Versions:  "all",
			Breaks:    "behaviour",
			Safe:      "lock_timeout",
		},
		Check: checkPG704,
	}
}

func checkPG704(o *lint.Op) []lint.Hit {
	object := o.Object
	if object != "TRIGGER" && object != "RULE" && object != "POLICY" || o.On == "" || !o.Known(o.On) {
		return nil
	}
	var text string
	switch {
	case o.Verb == "DROP" && object == "TRIGGER", o.Verb == "DROP" && object == "RULE":
		text = fmt.Sprintf("DROP %s %s leaves out what the running release relies on its writes to %s to do.", object, o.Name(), lint.Plain(o.On))
	case o.Verb == "DROP", o.Verb == "ALTER" && object == "POLICY":
		text = fmt.Sprintf("%s POLICY %s hides rows of %s from the running release, or shows it rows it should not see.", o.Verb, o.Name(), lint.Plain(o.On))
	case o.Verb == "CREATE" && object != "TRIGGER":
		text = fmt.Sprintf("CREATE %s %s changes what queries of the running release on %s do; try it with that release.", object, o.Name(), lint.Plain(o.On))
	default:
		return nil
	}
	return []lint.Hit{{Message: text, Locks: lint.On(o.On, lint.AccessExclusive), Breaks: true}}
}
