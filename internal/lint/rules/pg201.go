package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg201 is about: ALTER TYPE int->bigint, int->text/numeric, enum->text, text->jsonb, uuid->text, json<->jsonb, any USING expr.
func pg201() lint.Rule {
	return lint.Rule{
		ID: "PG201", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ALTER TYPE int->bigint, int->text/numeric, enum->text, text->jsonb, uuid->text, json<->jsonb, any USING expr",
			Locks:     "ACCESS EXCLUSIVE + rewrite + all indexes rebuilt",
			Versions:  "all 11-18",
			Breaks:    "YES: prepared statements 0A000; typed comparisons may fail (int->text: operator errors); drivers with int4 scan targets",
			Rollback:  "down may fail or lose precision; also a rewrite",
			Safe:      "new column + sync trigger + batched backfill + swap",
		},
		Check: checkPG201,
	}
}

func checkPG201(o *lint.Op) []lint.Hit {
	c := changeOf(o)
	if c.rule != "PG201" {
		return nil
	}
	was := "its former type is not known here (name the schema with --base), and unless the change only widens it, it"
	if c.from != "" {
		was = fmt.Sprintf("the change from %s", c.from)
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("TYPE %s of %s: %s writes %s and all its indexes anew while nobody can use it, and prepared statements of the running release fail; add a column of the new type beside it, fill it in batches, and drop the old one in a later release.", o.Part.Type, o.Of(), was, o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.Rewrite, Breaks: !o.NewColumn(), Stuck: true, Rewrite: typeSteps(o),
	}}
}
