package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg123 is about: DROP NOT NULL.
func pg123() lint.Rule {
	return lint.Rule{
		ID: "PG123", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "DROP NOT NULL",
			Locks:     "ACCESS EXCLUSIVE metadata",
			Versions:  "all",
			Breaks:    "Old code may read NULL it cannot handle",
			Rollback:  "down FAILS (23502) once the new version wrote NULLs",
			Safe:      "gate rollback: down needs backfill of NULLs first",
		},
		Check: checkPG123,
	}
}

func checkPG123(o *lint.Op) []lint.Hit {
	if !o.Is("DROP NOT NULL") || o.NewColumn() {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("DROP NOT NULL on %s: the running release may read a NULL it cannot handle, and the way down fails (23502) once one is written.", o.Of()),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Keeps: true, Stuck: true,
	}}
}
