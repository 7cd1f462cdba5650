package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// sl102 is about: ADD COLUMN that SQLite refuses: NOT NULL without a default, a default that is computed, UNIQUE, PRIMARY KEY, STORED, REFERENCES with a default.
func sl102() lint.Rule {
	return lint.Rule{
		ID: "SL102", Class: lint.Block, Dialect: sqltext.SQLite,
		Facts: lint.Facts{
			Operation: "ADD COLUMN that SQLite refuses: NOT NULL without a default, a default that is computed, UNIQUE, PRIMARY KEY, STORED, REFERENCES with a default",
			Locks:     "none: the statement fails",
			Versions:  "all",
			Breaks:    "NOT NULL without a default: every insert of the running release",
			Safe:      "the table is made anew: CREATE the new one, INSERT … SELECT, DROP the old one, RENAME",
		},
		Check: checkSL102,
	}
}

func checkSL102(o *lint.Op) []lint.Hit {
	d, ok := o.Adds()
	if !ok {
		return nil
	}
	why := refusedBySQLite(d)
	if why == "" {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD COLUMN %s %s is refused by SQLite: the table has to be made anew.", o.Of(), why), Keeps: true,
		Breaks: (d.NotNull || d.Primary) && !filled(d), Rewrite: rebuildSteps(o),
	}}
}
