package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg403 is about: CREATE INDEX CONCURRENTLY IF NOT EXISTS after a failed build.
func pg403() lint.Rule {
	return lint.Rule{
		ID: "PG403", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "CREATE INDEX CONCURRENTLY IF NOT EXISTS after a failed build",
			Versions:  "all",
			Breaks:    "No",
			Safe:      "rc=0 with index still INVALID (measured): check indisvalid, else REINDEX/DROP",
		},
		Check: checkPG403,
	}
}

func checkPG403(o *lint.Op) []lint.Hit {
	if !o.Creates("INDEX") || !o.Concurrently || !o.IfNotExists || o.Tx.In {
		return nil
	}
	name := o.Name()
	return []lint.Hit{{
		Message: fmt.Sprintf("After a build that failed, this succeeds and leaves %s INVALID: IF NOT EXISTS does not look whether the index is valid. Drop what is left of it first.", name), Keeps: true,
		Rewrite: fmt.Sprintf("DROP INDEX CONCURRENTLY IF EXISTS %s;\n%s;", lint.Quote(name), strings.Replace(o.SQL, ifNotExists(o.SQL), "", 1)),
	}}
}
