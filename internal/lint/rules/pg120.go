package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg120 is about: DROP DEFAULT on NOT NULL column.
func pg120() lint.Rule {
	return lint.Rule{
		ID: "PG120", Class: lint.Gate, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "DROP DEFAULT on NOT NULL column",
			Locks:     "ACCESS EXCLUSIVE metadata",
			Versions:  "all",
			Breaks:    "YES: INSERTs omitting it fail 23502",
			Safe:      "only in contract",
		},
		Check: checkPG120,
	}
}

func checkPG120(o *lint.Op) []lint.Hit {
	if !o.Is("DROP DEFAULT") || o.NewColumn() {
		return nil
	}
	if c := o.Column(); c != nil && c.Known && (!c.NotNull || !c.Filled()) {
		return []lint.Hit{{
			Class: lint.Warn, Locks: lint.On(o.Table, lint.AccessExclusive), Keeps: true,
			Message: fmt.Sprintf("DROP DEFAULT on %s: inserts of the running release that leave it out get NULL from then on.", o.Of()),
		}}
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("DROP DEFAULT on %s makes inserts of the running release that leave it out fail when it is NOT NULL; keep the default in the database (db_default in Django, server_default in Alembic) until a later release.", o.Of()),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Breaks: true,
	}}
}
