package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// sl101 is about: ADD COLUMN that changes the catalogue alone.
func sl101() lint.Rule {
	return lint.Rule{
		ID: "SL101", Class: lint.Info, Dialect: sqltext.SQLite,
		Facts: lint.Facts{
			Operation: "ADD COLUMN that changes the catalogue alone",
			Locks:     "WRITER for a moment; a CHECK or NOT NULL is a scan",
			Versions:  "all",
			Rollback:  "the way down, DROP COLUMN, writes every row and loses the values",
		},
		Check: checkSL101,
	}
}

func checkSL101(o *lint.Op) []lint.Hit {
	d, ok := o.Adds()
	if !ok || refusedBySQLite(d) != "" {
		return nil
	}
	return []lint.Hit{{Message: fmt.Sprintf("ADD COLUMN %s changes the catalogue alone.", o.Of()), Locks: lint.On(o.Table, lint.Writer), Keeps: true, Stuck: true}}
}
