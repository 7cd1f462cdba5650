package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg311 is about: DROP UNIQUE / unique index / PK.
func pg311() lint.Rule {
	return lint.Rule{
		ID: "PG311", Class: lint.Gate, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "DROP UNIQUE / unique index / PK",
			Locks:     "ACCESS EXCLUSIVE",
			Versions:  "all",
			Breaks:    "YES: ON CONFLICT (cols) fails 42P10; FK targets; logical replication identity",
			Rollback:  "down FAILS 23505 after duplicates",
			Safe:      "contract phase; search code for ON CONFLICT",
		},
		Check: checkPG311,
	}
}

func checkPG311(o *lint.Op) []lint.Hit {
	message := ""
	var locks []lint.Lock
	switch k := dropped(o); {
	case k.kind == "UNIQUE" || k.kind == "PRIMARY KEY":
		message = fmt.Sprintf("DROP CONSTRAINT %s: every ON CONFLICT of the running release that relies on it fails (42P10), and the way down fails (23505) once a value repeats; drop it in a later release.", o.Of())
		locks = lint.On(o.Table, lint.AccessExclusive)
	case k.kind == "?":
		message = fmt.Sprintf("DROP CONSTRAINT %s: what it is is not known here (name the schema with --base). If it is unique, every ON CONFLICT of the running release that relies on it fails.", o.Of())
		locks = lint.On(o.Table, lint.AccessExclusive)
	case o.Verb == "DROP" && o.Object == "INDEX":
		for _, name := range o.Names {
			if i := o.Schema.Index(name); i != nil && i.Unique && !o.Schema.New("index", name) || i == nil && seemsUnique(name) {
				message = fmt.Sprintf("DROP INDEX %s: it is unique, so every ON CONFLICT of the running release that relies on it fails (42P10), and the way down fails (23505) once a value repeats.", lint.Plain(name))
				locks = indexLock(o, name)
			}
		}
	}
	if message == "" {
		return nil
	}
	return []lint.Hit{{Message: message, Locks: locks, Breaks: true, Stuck: true}}
}
