package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg304 is about: ADD FOREIGN KEY (valid).
func pg304() lint.Rule {
	return lint.Rule{
		ID: "PG304", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD FOREIGN KEY (valid)",
			Locks:     "SHARE ROW EXCLUSIVE on BOTH tables + scans both",
			Versions:  "all",
			Breaks:    "YES for orphan writes",
			Rollback:  "down OK",
			Safe:      "NOT VALID, then VALIDATE; one FK per transaction",
		},
		Check: checkPG304,
	}
}

func checkPG304(o *lint.Op) []lint.Hit {
	d, ok := o.AddsConstraint("FOREIGN KEY")
	if !ok || d.NotValid || d.Unchecked {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD FOREIGN KEY on %s reads it and %s while nobody can write to either, and writes of the running release that point to nothing fail; let a release go first that never does.", o.Table, lint.Plain(d.References)),
		Locks:   append(lint.On(o.Table, lint.ShareRowExclusive), known(o, d.References, lint.ShareRowExclusive)...), Work: lint.Scan, Keeps: true,
		Breaks:  !o.Schema.OnNew(o.Table, d.Columns),
		Rewrite: foreignSteps(o, named(d, o.Table, "fkey"), d.Columns, d.References, d.RefColumns),
	}}
}
