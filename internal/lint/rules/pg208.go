package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg208 is about: ALTER TYPE of a PK/FK column.
func pg208() lint.Rule {
	return lint.Rule{
		ID: "PG208", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ALTER TYPE of a PK/FK column",
			Locks:     "ACCESS EXCLUSIVE + rewrite; FK partners must follow; may scan both",
			Versions:  "all",
			Breaks:    "YES",
			Safe:      "bigint shadow column + FK NOT VALID + swap in one txn",
		},
		Check: checkPG208,
	}
}

func checkPG208(o *lint.Op) []lint.Hit {
	c := changeOf(o)
	if c.rule != "PG208" {
		return nil
	}
	locks := lint.On(o.Table, lint.AccessExclusive)
	for _, t := range o.Schema.Referencing(o.Table, o.Part.Name) {
		locks = append(locks, known(o, t, lint.AccessExclusive)...)
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("TYPE of %s from %s to %s: the column is part of a key, so that %s is written anew while nobody can use it, and its partners have to follow.", o.Of(), c.from, o.Part.Type, o.Table),
		Locks:   locks, Work: lint.Rewrite, Breaks: !o.NewColumn(), Stuck: true, Rewrite: typeSteps(o),
	}}
}
