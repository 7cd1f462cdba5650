package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg510 is about: TRUNCATE [CASCADE].
func pg510() lint.Rule {
	return lint.Rule{
		ID: "PG510", Class: lint.Gate, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "TRUNCATE [CASCADE]",
			Locks:     "ACCESS EXCLUSIVE on table + cascaded",
			Versions:  "all",
			Breaks:    "DATA",
			Rollback:  "DATA LOSS",
			Safe:      "batched DELETE or swap table",
		},
		Check: checkPG510,
	}
}

func checkPG510(o *lint.Op) []lint.Hit {
	if o.Verb != "TRUNCATE" {
		return nil
	}
	var hits []lint.Hit
	for _, name := range o.Names {
		if o.Schema.NewTable(name) || bookkeeping(name) {
			continue
		}
		locks := lint.On(name, lint.AccessExclusive)
		more := ""
		if o.Cascade {
			more = ", and those of every table that references it,"
			for _, r := range o.Schema.Referencing(name, "") {
				locks = append(locks, known(o, r, lint.AccessExclusive)...)
			}
		}
		hits = append(hits, lint.Hit{
			Message: fmt.Sprintf("TRUNCATE %s removes rows%s that the running release uses, and they are lost; remove what nobody uses in batches, in a later release.", lint.Plain(name), more),
			Locks:   locks, Breaks: true, Stuck: true,
		})
	}
	return hits
}
