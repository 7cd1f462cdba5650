package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg306 is about: DROP FOREIGN KEY.
func pg306() lint.Rule {
	return lint.Rule{
		ID: "PG306", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "DROP FOREIGN KEY",
			Locks:     "ACCESS EXCLUSIVE on BOTH tables",
			Versions:  "all",
			Breaks:    "No",
			Rollback:  "down FAILS 23503 after orphan writes",
			Safe:      "lock retry; one per txn",
		},
		Check: checkPG306,
	}
}

func checkPG306(o *lint.Op) []lint.Hit {
	k := dropped(o)
	if k.kind != "FOREIGN KEY" {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("DROP CONSTRAINT %s locks %s and the table it points to, and the way down fails (23503) once a row points to nothing.", o.Of(), o.Table),
		Locks:   append(lint.On(o.Table, lint.AccessExclusive), known(o, k.references, lint.AccessExclusive)...), Stuck: true,
	}}
}
