package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg103 is about: ADD COLUMN ... DEFAULT volatile (clock_timestamp, random, gen_random_uuid, nextval).
func pg103() lint.Rule {
	return lint.Rule{
		ID: "PG103", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD COLUMN ... DEFAULT volatile (clock_timestamp, random, gen_random_uuid, nextval)",
			Locks:     "ACCESS EXCLUSIVE + full table rewrite + all indexes rebuilt",
			Versions:  "all 11-18",
			Breaks:    "No, except server-prepared `SELECT *` (SQLSTATE 0A000) - driver must re-prepare",
			Rollback:  "down = DROP COLUMN: loses values written by the new version",
			Safe:      "ADD COLUMN; SET DEFAULT; batched backfill; validate NOT NULL",
		},
		Check: checkPG103,
	}
}

func checkPG103(o *lint.Op) []lint.Hit {
	d, ok := o.Adds()
	if !ok || d.Default == "" || volatility(o, d.Default) == constant {
		return nil
	}
	why := "is computed for every row"
	if volatility(o, d.Default) == unknown {
		why = "calls what may be computed for every row"
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD COLUMN %s with the default %s, which %s, writes %s and all its indexes anew while nobody can read or write it; add it without, set the default, and fill it in batches.", o.Of(), d.Default, why, o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.Rewrite, Breaks: true, Keeps: true,
		Rewrite: lines(
			addColumn(o, d.Type, ""),
			alterColumn(o, "SET DEFAULT "+d.Default),
			fill(o, lint.Quote(d.Name)+" = "+d.Default, lint.Quote(d.Name)+" IS NULL"),
			notNullSteps(o, d.Name, d.NotNull),
		),
	}}
}
