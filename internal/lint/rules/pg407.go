package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg407 is about: ALTER INDEX RENAME.
func pg407() lint.Rule {
	return lint.Rule{
		ID: "PG407", Class: lint.Info, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ALTER INDEX RENAME",
			Locks:     "SHARE UPDATE EXCLUSIVE",
			Versions:  "PG>=12 SHARE UPDATE EXCLUSIVE; PG11 ACCESS EXCLUSIVE (measured)",
			Breaks:    "No (hints/ON CONSTRAINT names)",
			Safe:      "Allow",
		},
		Check: checkPG407,
	}
}

func checkPG407(o *lint.Op) []lint.Hit {
	if o.Verb != "ALTER" || o.Object != "INDEX" || o.Schema.New("index", o.Name()) || o.Part == nil || o.Part.Verb != "RENAME TO" {
		return nil
	}
	h := lint.Hit{Message: fmt.Sprintf("ALTER INDEX %s RENAME lets reads and writes go on; code that names the index in hints or in ON CONSTRAINT does not find it.", o.Name()), Keeps: true}
	h.Locks = lint.On(o.Name(), lint.ShareUpdateExclusive)
	if o.Version < 12 {
		h.Class = lint.Warn
		h.Message = fmt.Sprintf("ALTER INDEX %s RENAME locks the index against everybody on PostgreSQL 11: queries that could use it wait.", o.Name())
		h.Locks = lint.On(o.Name(), lint.AccessExclusive)
	}
	return []lint.Hit{h}
}
