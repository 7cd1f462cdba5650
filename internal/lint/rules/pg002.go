package rules

import (
	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg002 is about: code that cannot be read: DO, CALL, SELECT of a function that may change something.
func pg002() lint.Rule {
	return lint.Rule{
		ID: "PG002", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "code that cannot be read: DO, CALL, SELECT of a function that may change something",
			Locks:     "whatever the code does",
			Versions:  "all",
			Breaks:    "unknown",
			Rollback:  "unknown",
			Safe:      "write what it does as statements, or say with a declaration why the running release can live with it",
		},
		Check: checkPG002,
	}
}

func checkPG002(o *lint.Op) []lint.Hit {
	text, hurts := opaque(o)
	if text == "" {
		return nil
	}
	h := lint.Hit{Message: text, Breaks: true}
	if hurts {
		h.Class = lint.Block
	}
	return []lint.Hit{h}
}
