package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg502 is about: CREATE TABLE with FK.
func pg502() lint.Rule {
	return lint.Rule{
		ID: "PG502", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "CREATE TABLE with FK",
			Locks:     "SHARE ROW EXCLUSIVE on referenced table",
			Versions:  "all",
			Breaks:    "No",
			Rollback:  "down: DROP TABLE takes ACCESS EXCLUSIVE on referenced",
			Safe:      "add FK separately with retry when parent hot; one FK per txn",
		},
		Check: checkPG502,
	}
}

func checkPG502(o *lint.Op) []lint.Hit {
	if !o.Creates("TABLE") || o.PartitionOf != "" {
		return nil
	}
	refs := references(o)
	if len(refs) == 0 {
		return nil
	}
	var locks []lint.Lock
	for _, t := range refs {
		locks = append(locks, lint.On(t, lint.ShareRowExclusive)...)
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("CREATE TABLE %s with foreign keys keeps writers off %s for a moment, and the way down locks them.", o.Name(), strings.Join(refs, ", ")),
		Locks:   locks, Keeps: true, Stuck: true,
	}}
}
