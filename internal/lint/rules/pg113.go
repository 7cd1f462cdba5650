package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg113 is about: ADD COLUMN ... DEFAULT c REFERENCES.
func pg113() lint.Rule {
	return lint.Rule{
		ID: "PG113", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD COLUMN ... DEFAULT c REFERENCES",
			Locks:     "ACCESS EXCLUSIVE + SHARE ROW EXCLUSIVE on parent + scans both tables",
			Versions:  "all",
			Breaks:    "No",
			Safe:      "split into column, FK NOT VALID, VALIDATE",
		},
		Check: checkPG113,
	}
}

func checkPG113(o *lint.Op) []lint.Hit {
	d, ok := o.Adds()
	if !ok || d.References == "" || !filled(d) || d.Unchecked {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD COLUMN %s with a default that references %s reads both tables while nobody can write to either.", o.Of(), lint.Plain(d.References)),
		Locks:   append(lint.On(o.Table, lint.AccessExclusive), known(o, d.References, lint.ShareRowExclusive)...), Work: lint.Scan, Keeps: true,
		Rewrite: lines(addColumn(o, d.Type, given(d)),
			foreignSteps(o, fmt.Sprintf("%s_%s_fkey", last(o.Table), d.Name), []string{d.Name}, d.References, d.RefColumns)),
	}}
}
