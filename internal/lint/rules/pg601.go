package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg601 is about: ALTER TYPE ADD VALUE.
func pg601() lint.Rule {
	return lint.Rule{
		ID: "PG601", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ALTER TYPE ADD VALUE",
			Locks:     "no table lock",
			Versions:  "PG<12: not in txn (25001); >=12 allowed but new value unusable in the same txn (55P04, measured)",
			Breaks:    "Old code may crash reading an unknown enum label",
			Rollback:  "cannot be removed: down impossible without type rebuild",
			Safe:      "commit before use; old code must tolerate unknown values; rollback = leave value",
		},
		Check: checkPG601,
	}
}

func checkPG601(o *lint.Op) []lint.Hit {
	if label := usedLabel(o); label != "" {
		return []lint.Hit{{
			Class: lint.Block, Keeps: true, Message: fmt.Sprintf("The value '%s' was added in the same transaction and cannot be used there (55P04); use it in a later file.", label),
		}}
	}
	if o.Verb != "ALTER" || o.Object != "TYPE" || verb(o) != "ADD VALUE" || o.Schema.New("type", o.Name()) {
		return nil
	}
	h := lint.Hit{
		Message: fmt.Sprintf("ALTER TYPE %s ADD VALUE '%s' locks no table; the running release may read a value it does not know, and no way down takes it out.", o.Name(), o.Actions[0].Name), Keeps: true, Stuck: true,
	}
	if o.Version < 12 && o.Tx.In {
		h.Class, h.Message = lint.Block, fmt.Sprintf("ALTER TYPE %s ADD VALUE fails (25001): PostgreSQL 11 does not do it within a transaction.", o.Name())
		h.Rewrite = outside(o) + "\n" + o.SQL + ";"
	}
	return []lint.Hit{h}
}
