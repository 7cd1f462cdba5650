package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg204 is about: timestamp <-> timestamptz.
func pg204() lint.Rule {
	return lint.Rule{
		ID: "PG204", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "timestamp <-> timestamptz",
			Locks:     "ACCESS EXCLUSIVE; metadata only when session TimeZone=UTC, else rewrite",
			Versions:  "PG>=12 metadata if UTC; PG11 always rewrite (measured)",
			Breaks:    "semantic: values reinterpret",
			Safe:      "SET TimeZone=UTC in the migration session",
		},
		Check: checkPG204,
	}
}

func checkPG204(o *lint.Op) []lint.Hit {
	c := changeOf(o)
	if c.rule != "PG204" {
		return nil
	}
	h := lint.Hit{Locks: lint.On(o.Table, lint.AccessExclusive), Keeps: true, Breaks: !o.NewColumn(), Rewrite: lines("SET LOCAL TimeZone = 'UTC';", o.SQL+";")}
	switch {
	case o.Version >= 12 && o.Tx.TimeZoneUTC:
		h.Message = fmt.Sprintf("TYPE of %s from %s to %s changes the catalogue alone, since TimeZone is UTC; what the running release reads and writes there means another moment unless its sessions are in UTC.", o.Of(), c.from, o.Part.Type)
		h.Rewrite = ""
	case o.Version >= 12:
		h.Message = fmt.Sprintf("TYPE of %s from %s to %s writes %s anew unless the session's TimeZone is UTC; set it in the migration.", o.Of(), c.from, o.Part.Type, o.Table)
		h.Work = lint.Rewrite
	default:
		h.Class, h.Work, h.Rewrite = lint.Block, lint.Rewrite, typeSteps(o)
		h.Message = fmt.Sprintf("TYPE of %s from %s to %s writes %s anew while nobody can use it.", o.Of(), c.from, o.Part.Type, o.Table)
	}
	return []lint.Hit{h}
}
