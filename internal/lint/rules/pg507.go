package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg507 is about: DROP partition.
func pg507() lint.Rule {
	return lint.Rule{
		ID: "PG507", Class: lint.Gate, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "DROP partition",
			Locks:     "ACCESS EXCLUSIVE on parent",
			Versions:  "all",
			Breaks:    "YES",
			Rollback:  "DATA LOSS",
			Safe:      "DETACH CONCURRENTLY then DROP",
		},
		Check: checkPG507,
	}
}

func checkPG507(o *lint.Op) []lint.Hit {
	if o.Verb != "DROP" || o.Object != "TABLE" {
		return nil
	}
	var hits []lint.Hit
	for _, name := range o.Names {
		t := o.Schema.Table(name)
		if t == nil || t.New || t.Parent == "" {
			continue
		}
		hits = append(hits, lint.Hit{
			Message: fmt.Sprintf("DROP TABLE %s, a partition, locks all of %s against everybody, and its rows are lost.", t.Name, t.Parent),
			Locks:   append(lint.On(t.Parent, lint.AccessExclusive), lint.On(t.Name, lint.AccessExclusive)...), Breaks: true, Stuck: true,
			Rewrite: fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY;\nDROP TABLE %s;", lint.Quote(t.Parent), lint.Quote(t.Name), lint.Quote(t.Name)),
		})
	}
	return hits
}
