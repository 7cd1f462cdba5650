package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg501 is about: CREATE TABLE (no FK).
func pg501() lint.Rule {
	return lint.Rule{
		ID: "PG501", Class: lint.Info, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "CREATE TABLE (no FK)",
			Locks:     "none on existing",
			Versions:  "all",
			Breaks:    "No",
			Rollback:  "down = DROP: loses new rows",
			Safe:      "Allow",
		},
		Check: checkPG501,
	}
}

func checkPG501(o *lint.Op) []lint.Hit {
	if !o.Creates("TABLE") || o.PartitionOf != "" || len(references(o)) > 0 {
		return nil
	}
	return []lint.Hit{{Message: fmt.Sprintf("CREATE TABLE %s touches nothing that exists; the way down loses the rows written to it.", o.Name()), Keeps: true, Stuck: true}}
}
