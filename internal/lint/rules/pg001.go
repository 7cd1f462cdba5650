package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg001 is about: syntax that the server does not know yet.
func pg001() lint.Rule {
	return lint.Rule{
		ID: "PG001", Class: lint.Block, Dialect: sqltext.Postgres, NeedsVersion: true,
		Facts: lint.Facts{
			Operation: "syntax that the server does not know yet",
			Locks:     "none: the statement fails",
			Versions:  "every construct names the version it came with",
			Breaks:    "nothing; the migration fails",
			Rollback:  "a migration that is not in a transaction stops half-way",
			Safe:      "write it in the way the server's version knows",
		},
		Check: checkPG001,
	}
}

func checkPG001(o *lint.Op) []lint.Hit {
	what, since := newSyntax(o)
	if what == "" || o.Version >= since {
		return nil
	}
	return []lint.Hit{{Message: fmt.Sprintf("%s needs PostgreSQL %d, and the server is %d: the statement fails.", what, since, o.Version), Keeps: true}}
}
