package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg705 is about: ENABLE/DISABLE TRIGGER.
func pg705() lint.Rule {
	return lint.Rule{
		ID: "PG705", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ENABLE/DISABLE TRIGGER",
			Locks:     "SHARE ROW EXCLUSIVE (ALL incl. FK triggers => integrity hole)",
			Versions:  "all",
			Breaks:    "integrity",
			Safe:      "avoid DISABLE TRIGGER ALL",
		},
		Check: checkPG705,
	}
}

func checkPG705(o *lint.Op) []lint.Hit {
	if !o.Is("ENABLE TRIGGER", "DISABLE TRIGGER", "ENABLE REPLICA TRIGGER", "ENABLE ALWAYS TRIGGER", "ENABLE RULE", "DISABLE RULE", "ENABLE REPLICA RULE", "ENABLE ALWAYS RULE") {
		return nil
	}
	h := lint.Hit{
		Message: fmt.Sprintf("%s %s changes what writes of the running release to %s do.", o.Part.Verb, o.Part.Value, o.Table),
		Locks:   lint.On(o.Table, lint.ShareRowExclusive), Breaks: true,
	}
	if o.Part.Verb == "DISABLE TRIGGER" && strings.EqualFold(o.Part.Value, "all") {
		h.Class, h.Message = lint.Block, fmt.Sprintf("DISABLE TRIGGER ALL switches off the foreign keys of %s too: rows that point to nothing get in, and nobody notices later.", o.Table)
	}
	return []lint.Hit{h}
}
