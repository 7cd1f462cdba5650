package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg313 is about: ALTER DOMAIN ADD CONSTRAINT / VALIDATE.
func pg313() lint.Rule {
	return lint.Rule{
		ID: "PG313", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ALTER DOMAIN ADD CONSTRAINT / VALIDATE",
			Locks:     "SHARE (blocks writes) on every table using it + scan",
			Versions:  "all",
			Breaks:    "YES",
			Safe:      "NOT VALID then VALIDATE still S: prefer table CHECK",
		},
		Check: checkPG313,
	}
}

func checkPG313(o *lint.Op) []lint.Hit {
	if o.Verb != "ALTER" || o.Object != "DOMAIN" || o.Schema.New("domain", o.Name()) {
		return nil
	}
	if !o.Has("ADD") && !o.Has("VALIDATE", "CONSTRAINT") && !o.Has("SET", "NOT", "NULL") {
		return nil
	}
	if o.Has("NOT", "VALID") {
		return []lint.Hit{{
			Message: fmt.Sprintf("ALTER DOMAIN %s ADD … NOT VALID reads nothing, but writes of the running release that do not satisfy it fail, and VALIDATE later keeps writers off every table that uses it.", o.Name()), Breaks: true, Keeps: true,
		}}
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("ALTER DOMAIN %s keeps writers off every table that uses it while it reads them, with VALIDATE too, and writes of the running release that do not satisfy it fail.", o.Name()),
		Locks:   domainLocks(o), Work: lint.Scan, Breaks: !o.Has("VALIDATE", "CONSTRAINT"), Keeps: true,
		Rewrite: "-- put the condition on each table instead:\nALTER TABLE … ADD CONSTRAINT … CHECK (…) NOT VALID;\nALTER TABLE … VALIDATE CONSTRAINT …; -- in a transaction of its own",
	}}
}
