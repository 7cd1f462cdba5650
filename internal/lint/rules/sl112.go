package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// sl112 is about: CREATE TRIGGER on a table that exists; VACUUM.
func sl112() lint.Rule {
	return lint.Rule{
		ID: "SL112", Class: lint.Warn, Dialect: sqltext.SQLite,
		Facts: lint.Facts{
			Operation: "CREATE TRIGGER on a table that exists; VACUUM",
			Locks:     "WRITER",
			Versions:  "all",
			Breaks:    "what writes of the running release do",
			Safe:      "try the trigger with the running release; VACUUM outside of a deployment",
		},
		Check: checkSL112,
	}
}

func checkSL112(o *lint.Op) []lint.Hit {
	switch {
	case o.Verb == "CREATE" && o.Object == "TRIGGER" && o.Known(o.On):
		return []lint.Hit{{Message: fmt.Sprintf("CREATE TRIGGER %s changes what writes of the running release to %s do; try it with that release.", o.Name(), lint.Plain(o.On)), Locks: lint.On(o.On, lint.Writer), Breaks: true}}
	case o.Verb == "VACUUM" && o.Tx.In:
		return []lint.Hit{{Class: lint.Block, Message: "VACUUM fails: it runs within a transaction.", Keeps: true}}
	case o.Verb == "VACUUM":
		return []lint.Hit{{Message: "VACUUM writes the whole file anew while all writers are kept off; do it outside of a deployment.", Work: lint.Rewrite, Keeps: true}}
	}
	return nil
}
