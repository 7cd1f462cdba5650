package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg506 is about: DROP TABLE.
func pg506() lint.Rule {
	return lint.Rule{
		ID: "PG506", Class: lint.Gate, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "DROP TABLE",
			Locks:     "ACCESS EXCLUSIVE on it and on every FK partner",
			Versions:  "all",
			Breaks:    "YES",
			Rollback:  "DATA LOSS + grants + sequences lost (measured ACL diff)",
			Safe:      "contract: rename to _trash + window, then drop FKs one by one, then drop",
		},
		Check: checkPG506,
	}
}

func checkPG506(o *lint.Op) []lint.Hit {
	if o.Verb != "DROP" || o.Object != "TABLE" && o.Object != "FOREIGN TABLE" {
		return nil
	}
	var hits []lint.Hit
	for _, name := range o.Names {
		t := o.Schema.Table(name)
		if o.Schema.NewTable(name) || t != nil && t.Parent != "" {
			continue
		}
		locks := lint.On(name, lint.AccessExclusive)
		if t != nil {
			for _, k := range t.Constraints {
				locks = append(locks, known(o, k.References, lint.AccessExclusive)...)
			}
		}
		for _, r := range o.Schema.Referencing(name, "") {
			locks = append(locks, known(o, r, lint.AccessExclusive)...)
		}
		hits = append(hits, lint.Hit{
			Message: fmt.Sprintf("DROP TABLE %s makes every query of the running release that names it fail, and its rows are lost; stop using it first, and drop it in a later release.", lint.Plain(name)),
			Locks:   unique(locks), Breaks: true, Stuck: true,
		})
	}
	return hits
}
