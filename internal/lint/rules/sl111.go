package rules

import (
	"fmt"
	"slices"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// sl111 is about: PRAGMA foreign_keys within a transaction, and pragmas that change how others see the database.
func sl111() lint.Rule {
	return lint.Rule{
		ID: "SL111", Class: lint.Warn, Dialect: sqltext.SQLite,
		Facts: lint.Facts{
			Operation: "PRAGMA foreign_keys within a transaction, and pragmas that change how others see the database",
			Locks:     "none",
			Versions:  "all",
			Breaks:    "pragmas that stay, such as journal_mode and encoding",
			Safe:      "outside of a transaction",
		},
		Check: checkSL111,
	}
}

func checkSL111(o *lint.Op) []lint.Hit {
	if o.Verb != "PRAGMA" {
		return nil
	}
	name := o.Name()
	switch {
	case name == "foreign_keys" && o.Tx.In:
		return []lint.Hit{{Message: "PRAGMA foreign_keys does nothing within a transaction: a table that is made anew loses the rows that reference it with ON DELETE CASCADE.", Keeps: true}}
	case slices.Contains([]string{"foreign_keys", "foreign_key_check", "defer_foreign_keys", "legacy_alter_table", "integrity_check", "optimize", "table_info", "busy_timeout"}, name):
		return nil
	}
	return []lint.Hit{{Message: fmt.Sprintf("PRAGMA %s changes how the running release sees the database; say with a declaration why it can live with it.", name), Breaks: true, Keeps: true}}
}
