package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg710 is about: CREATE PUBLICATION / STATISTICS / COMMENT.
func pg710() lint.Rule {
	return lint.Rule{
		ID: "PG710", Class: lint.Info, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "CREATE PUBLICATION / STATISTICS / COMMENT",
			Locks:     "SHARE UPDATE EXCLUSIVE",
			Versions:  "all",
			Breaks:    "No",
			Safe:      "Allow",
		},
		Check: checkPG710,
	}
}

func checkPG710(o *lint.Op) []lint.Hit {
	switch {
	case o.Verb == "COMMENT":
	case o.Verb == "CREATE" && (o.Object == "PUBLICATION" || o.Object == "STATISTICS"):
	default:
		return nil
	}
	h := lint.Hit{Message: fmt.Sprintf("%s changes the catalogue alone, and reads and writes go on.", strings.TrimSpace(o.Verb+" "+o.Object)), Keeps: true}
	if table := described(o); table != "" && o.Known(table) {
		h.Locks = lint.On(table, lint.ShareUpdateExclusive)
	}
	return []lint.Hit{h}
}
