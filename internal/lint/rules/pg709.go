package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg709 is about: CREATE/ALTER EXTENSION, ALTER SYSTEM, CREATE DATABASE, non-txn statements.
func pg709() lint.Rule {
	return lint.Rule{
		ID: "PG709", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "CREATE/ALTER EXTENSION, ALTER SYSTEM, CREATE DATABASE, non-txn statements",
			Locks:     "varies; some not in txn",
			Safe:      "own step",
		},
		Check: checkPG709,
	}
}

func checkPG709(o *lint.Op) []lint.Hit {
	var text string
	switch {
	case o.Object == "EXTENSION" && (o.Verb == "CREATE" || o.Verb == "ALTER"):
		text = fmt.Sprintf("%s EXTENSION %s runs a script of its own, which takes the locks it needs.", o.Verb, o.Name())
	case o.Object == "SYSTEM", o.Object == "DATABASE", o.Object == "TABLESPACE", o.Object == "SUBSCRIPTION":
		if o.Has("SEARCH_PATH") {
			return nil
		}
		text = fmt.Sprintf("%s %s is about more than this database, and does not run within a transaction.", o.Verb, o.Object)
	case o.Verb == "VACUUM" && o.Head.Object != "FULL":
		text = "VACUUM does not run within a transaction; make it a step of its own."
	default:
		return nil
	}
	h := lint.Hit{Message: text, Breaks: o.Object != "EXTENSION" && o.Verb != "VACUUM" || o.Verb == "ALTER", Keeps: true}
	if o.Tx.In && o.Object != "EXTENSION" && o.NoTransaction(sqltext.Postgres) {
		h.Class, h.Message = lint.Block, fmt.Sprintf("%s %s fails (25001): it runs within a transaction.", o.Verb, o.Object)
	}
	return []lint.Hit{h}
}
