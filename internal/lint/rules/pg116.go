package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg116 is about: DROP COLUMN.
func pg116() lint.Rule {
	return lint.Rule{
		ID: "PG116", Class: lint.Gate, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "DROP COLUMN",
			Locks:     "ACCESS EXCLUSIVE metadata",
			Versions:  "all",
			Breaks:    "YES: every query/INSERT naming it, `SELECT *` prepared, dependent views/matviews (needs CASCADE)",
			Rollback:  "DATA LOSS; re-ADD puts column last (attnum order differs, positional INSERT/COPY differ), grants on column lost",
			Safe:      "contract phase only: old code gone + safety window + snapshot of the column to a side table",
		},
		Check: checkPG116,
	}
}

func checkPG116(o *lint.Op) []lint.Hit {
	if !o.Is("DROP COLUMN") || o.NewColumn() {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("DROP COLUMN %s makes every query of the running release that names it fail, and its values are lost; stop using it first, and drop it in a later release.", o.Of()),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Breaks: true, Stuck: true,
	}}
}
