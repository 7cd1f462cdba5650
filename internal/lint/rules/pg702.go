package rules

import (
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg702 is about: DROP VIEW / DROP FUNCTION / change signature / DROP SEQUENCE / RENAME SEQUENCE.
func pg702() lint.Rule {
	return lint.Rule{
		ID: "PG702", Class: lint.Gate, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "DROP VIEW / DROP FUNCTION / change signature / DROP SEQUENCE / RENAME SEQUENCE",
			Locks:     "ACCESS EXCLUSIVE on object",
			Versions:  "all",
			Breaks:    "YES",
			Rollback:  "recreate loses grants",
			Safe:      "keep old overload until contract",
		},
		Check: checkPG702,
	}
}

func checkPG702(o *lint.Op) []lint.Hit {
	text := lostObject(o)
	if text == "" {
		return nil
	}
	h := lint.Hit{Message: text, Breaks: true, Stuck: true}
	if strings.HasSuffix(o.Object, "VIEW") {
		for _, n := range o.Names {
			h.Locks = append(h.Locks, lint.On(n, lint.AccessExclusive)...)
		}
	}
	return []lint.Hit{h}
}
