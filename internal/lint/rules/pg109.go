package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg109 is about: ADD COLUMN NOT NULL DEFAULT x; then DROP DEFAULT (Django<5 AddField(default=), Alembic server_default removal).
func pg109() lint.Rule {
	return lint.Rule{
		ID: "PG109", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD COLUMN NOT NULL DEFAULT x; then DROP DEFAULT (Django<5 AddField(default=), Alembic server_default removal)",
			Locks:     "ACCESS EXCLUSIVE metadata",
			Versions:  "all",
			Breaks:    "YES: all old INSERTs fail 23502",
			Safe:      "Keep the DB default until contract (Django db_default / SEPARATE)",
		},
		Check: checkPG109,
	}
}

func checkPG109(o *lint.Op) []lint.Hit {
	if !o.Is("DROP DEFAULT") || !o.NewColumn() || !o.Column().NotNull {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("%s is new, NOT NULL, and loses its default in the same release: every insert of the running release fails, which does not know the column.", o.Of()),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Breaks: true, Keeps: true,
		Rewrite: fmt.Sprintf("-- keep the default until a later release (db_default in Django, server_default in Alembic), then:\nALTER TABLE %s ALTER COLUMN %s DROP DEFAULT;", lint.Quote(o.Table), lint.Quote(o.Part.Name)),
	}}
}
