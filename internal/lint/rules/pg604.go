package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg604 is about: DROP TYPE CASCADE.
func pg604() lint.Rule {
	return lint.Rule{
		ID: "PG604", Class: lint.Gate, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "DROP TYPE CASCADE",
			Locks:     "ACCESS EXCLUSIVE; drops columns",
			Versions:  "all",
			Breaks:    "YES",
			Rollback:  "DATA LOSS",
			Safe:      "never CASCADE",
		},
		Check: checkPG604,
	}
}

func checkPG604(o *lint.Op) []lint.Hit {
	if o.Verb != "DROP" || o.Object != "TYPE" && o.Object != "DOMAIN" {
		return nil
	}
	var names []string
	for _, n := range o.Names {
		if !o.Schema.New("type", n) {
			names = append(names, lint.Plain(n))
		}
	}
	if len(names) == 0 {
		return nil
	}
	var locks []lint.Lock
	more := "fails when a column has the type"
	if o.Cascade {
		more = "drops every column of that type with its values"
		for _, n := range names {
			for _, t := range o.Schema.Using(n) {
				locks = append(locks, lint.On(t, lint.AccessExclusive)...)
			}
		}
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("DROP %s %s %s; change the columns first, in an earlier release.", o.Object, strings.Join(names, ", "), more),
		Locks:   locks, Breaks: true, Stuck: true, Rewrite: fmt.Sprintf("DROP %s %s; -- without CASCADE, when no column has it", o.Object, lint.Quotes(names)),
	}}
}
