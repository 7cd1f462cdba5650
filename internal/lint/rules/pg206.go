package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg206 is about: ALTER TYPE of a column used by a view/rule/trigger WHEN.
func pg206() lint.Rule {
	return lint.Rule{
		ID: "PG206", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ALTER TYPE of a column used by a view/rule/trigger WHEN",
			Locks:     "error 0A000/2BP01",
			Versions:  "all",
			Safe:      "drop & recreate view in one txn (CREATE OR REPLACE cannot change types)",
		},
		Check: checkPG206,
	}
}

func checkPG206(o *lint.Op) []lint.Hit {
	if !o.Is("TYPE") || o.NewColumn() {
		return nil
	}
	views := o.Schema.ViewsOn(o.Table, o.Part.Name)
	if len(views) == 0 {
		return nil
	}
	var before []string
	for _, v := range views {
		before = append(before, fmt.Sprintf("DROP VIEW %s;", lint.Quote(v)))
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("TYPE of %s fails: %s uses the column.", o.Of(), strings.Join(views, ", ")),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Keeps: true,
		Rewrite: lines("BEGIN;", lines(before...), o.SQL+";", "-- CREATE VIEW … again, with its grants", "COMMIT;"),
	}}
}
