package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg509 is about: ALTER TABLE SET SCHEMA / RENAME SCHEMA / search_path change.
func pg509() lint.Rule {
	return lint.Rule{
		ID: "PG509", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ALTER TABLE SET SCHEMA / RENAME SCHEMA / search_path change",
			Locks:     "ACCESS EXCLUSIVE",
			Versions:  "all",
			Breaks:    "YES",
			Safe:      "view in the old schema",
		},
		Check: checkPG509,
	}
}

func checkPG509(o *lint.Op) []lint.Hit {
	switch {
	case o.Is("SET SCHEMA"):
		return []lint.Hit{{
			Message: fmt.Sprintf("SET SCHEMA makes every query of the running release that names %s fail.", o.Table),
			Locks:   lint.On(o.Table, lint.AccessExclusive), Breaks: true, Keeps: true, Stuck: true,
			Rewrite: fmt.Sprintf("BEGIN;\n%s;\nCREATE VIEW %s AS SELECT * FROM %s.%s;\nCOMMIT;", o.SQL, lint.Quote(o.Table), lint.Quote(strings.Trim(o.Part.Value, `"`)), lint.Quote(last(o.Table))),
		}}
	case o.Verb == "ALTER" && o.Object == "SCHEMA" && o.Has("RENAME") && !o.Schema.New("schema", o.Name()):
		return []lint.Hit{{Message: fmt.Sprintf("ALTER SCHEMA %s RENAME makes every query of the running release that names it fail.", o.Name()), Breaks: true, Keeps: true, Stuck: true}}
	case o.Verb == "ALTER" && o.Has("SEARCH_PATH") && (o.Object == "ROLE" || o.Object == "USER" || o.Object == "DATABASE"):
		return []lint.Hit{{Message: fmt.Sprintf("ALTER %s SET search_path makes new sessions of the running release find other tables, or none.", o.Object), Breaks: true, Keeps: true}}
	}
	return nil
}
