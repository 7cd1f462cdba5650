package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg508 is about: RENAME TABLE.
func pg508() lint.Rule {
	return lint.Rule{
		ID: "PG508", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "RENAME TABLE",
			Locks:     "ACCESS EXCLUSIVE metadata",
			Versions:  "all",
			Breaks:    "YES",
			Rollback:  "re-breaks new version",
			Safe:      "rename + updatable view of the old name in the same txn (measured: SELECT/INSERT RETURNING/ON CONFLICT/FOR UPDATE work; COPY, TRUNCATE, FK target, CREATE INDEX, GROUP BY pk, ctid, ANALYZE, LOCK do not)",
		},
		Check: checkPG508,
	}
}

func checkPG508(o *lint.Op) []lint.Hit {
	var to string
	switch {
	case o.Is("RENAME TO"):
		to = lint.Plain(o.Part.To)
	default:
		return nil
	}
	locks := lint.On(o.Table, lint.AccessExclusive)
	if o.Release.Views[o.Table] {
		return []lint.Hit{{
			Class: lint.Warn, Locks: locks, Keeps: true,
			Message: fmt.Sprintf("RENAME of %s leaves a view under the old name: queries go on, but COPY, TRUNCATE, GROUP BY on the key alone, LOCK and foreign keys to it do not.", o.Table),
		}}
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("RENAME of %s makes every query of the running release that names it fail; keep the name, or leave a view under it until a later release.", o.Table),
		Locks:   locks, Breaks: true, Keeps: true, Stuck: true,
		Rewrite: fmt.Sprintf("BEGIN;\nALTER TABLE %s RENAME TO %s;\nCREATE VIEW %s AS SELECT * FROM %s; -- with the grants of the table\nCOMMIT;", lint.Quote(o.Table), lint.Quote(to), lint.Quote(o.Table), lint.Quote(to)),
	}}
}
