package rules

import (
	"fmt"
	"slices"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg708 is about: ALTER SEQUENCE RESTART.
func pg708() lint.Rule {
	return lint.Rule{
		ID: "PG708", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ALTER SEQUENCE RESTART",
			Locks:     "SHARE ROW EXCLUSIVE + rewrite",
			Versions:  "all",
			Breaks:    "YES: duplicate keys",
			Rollback:  "irreversible",
			Safe:      "never in migrations",
		},
		Check: checkPG708,
	}
}

func checkPG708(o *lint.Op) []lint.Hit {
	text := ""
	switch {
	case o.Verb == "ALTER" && o.Object == "SEQUENCE" && o.Has("RESTART") && !o.Schema.New("sequence", o.Name()):
		text = fmt.Sprintf("ALTER SEQUENCE %s RESTART makes inserts of the running release repeat numbers and fail; never do it to a sequence in use.", o.Name())
	case o.Is("COLUMN RESTART"):
		text = fmt.Sprintf("RESTART of %s makes inserts of the running release repeat numbers and fail.", o.Of())
	case o.Verb == "TRUNCATE" && o.Has("RESTART", "IDENTITY") && o.Known(o.Table):
		text = "RESTART IDENTITY begins the numbers anew: what else holds such numbers points to other rows from then on."
	case o.Verb == "SELECT" && (slices.Contains(o.Calls, "setval") || slices.Contains(o.Calls, "pg_catalog.setval")):
		text = "setval makes inserts of the running release repeat numbers and fail when it goes back."
	}
	if text == "" {
		return nil
	}
	h := lint.Hit{Message: text, Breaks: true, Stuck: true}
	if o.Object == "SEQUENCE" {
		h.Locks, h.Work = lint.On(o.Name(), lint.ShareRowExclusive), lint.Rewrite
	}
	if o.Verb == "SELECT" && ownSequence(o) {
		return nil
	}
	return []lint.Hit{h}
}
