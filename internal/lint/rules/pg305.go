package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg305 is about: ADD FOREIGN KEY NOT VALID.
func pg305() lint.Rule {
	return lint.Rule{
		ID: "PG305", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD FOREIGN KEY NOT VALID",
			Locks:     "SHARE ROW EXCLUSIVE on both, no scan",
			Versions:  "all",
			Breaks:    "YES for new orphan writes",
			Rollback:  "down OK",
			Safe:      "lock_timeout; ensure referencing index",
		},
		Check: checkPG305,
	}
}

func checkPG305(o *lint.Op) []lint.Hit {
	d, ok := o.AddsConstraint("FOREIGN KEY")
	if !ok || !d.NotValid || d.Unchecked {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD FOREIGN KEY … NOT VALID on %s reads no row, but writes of the running release that point to nothing in %s fail from then on.", o.Table, lint.Plain(d.References)),
		Locks:   append(lint.On(o.Table, lint.ShareRowExclusive), known(o, d.References, lint.ShareRowExclusive)...), Keeps: true,
		Breaks: !o.Schema.OnNew(o.Table, d.Columns),
	}}
}
