package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg112 is about: ADD COLUMN ... REFERENCES (no default).
func pg112() lint.Rule {
	return lint.Rule{
		ID: "PG112", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD COLUMN ... REFERENCES (no default)",
			Locks:     "ACCESS EXCLUSIVE on table, SHARE ROW EXCLUSIVE on referenced; no scan",
			Versions:  "all",
			Breaks:    "No",
			Safe:      "usually fine with lock_timeout; split if referenced table is hot",
		},
		Check: checkPG112,
	}
}

func checkPG112(o *lint.Op) []lint.Hit {
	d, ok := o.Adds()
	if !ok || d.References == "" || filled(d) || d.Unchecked {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD COLUMN %s that references %s locks both tables; no row is read, since the column is empty.", o.Of(), lint.Plain(d.References)),
		Locks:   append(lint.On(o.Table, lint.AccessExclusive), known(o, d.References, lint.ShareRowExclusive)...), Keeps: true, Stuck: true,
	}}
}
