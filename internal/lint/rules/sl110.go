package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// sl110 is about: DROP TABLE, VIEW, INDEX, TRIGGER.
func sl110() lint.Rule {
	return lint.Rule{
		ID: "SL110", Class: lint.Gate, Dialect: sqltext.SQLite,
		Facts: lint.Facts{
			Operation: "DROP TABLE, VIEW, INDEX, TRIGGER",
			Locks:     "WRITER for a moment",
			Versions:  "all",
			Breaks:    "every query that uses it",
			Rollback:  "rows are lost",
			Safe:      "stop using it first, and drop it in a later release",
		},
		Check: checkSL110,
	}
}

func checkSL110(o *lint.Op) []lint.Hit {
	if o.Verb != "DROP" {
		return nil
	}
	name := o.Name()
	if o.Schema.New(o.Object, name) || o.Object == "TABLE" && o.Release.Rebuilt[name] {
		return nil
	}
	h := lint.Hit{Breaks: true, Stuck: true, Locks: lint.On(name, lint.Writer)}
	switch o.Object {
	case "TABLE", "VIRTUAL TABLE":
		h.Message = fmt.Sprintf("DROP TABLE %s makes every query of the running release that names it fail, and its rows are lost; stop using it first, and drop it in a later release.", name)
	case "VIEW":
		h.Message = fmt.Sprintf("DROP VIEW %s makes every query of the running release that names it fail; make the new view under another name, and drop this one in a later release.", name)
	case "INDEX":
		h.Message = fmt.Sprintf("DROP INDEX %s makes queries of the running release slow; drop it in a later release, when nothing uses it.", name)
		h.Class, h.Breaks, h.Keeps = lint.Warn, false, true
		if i := o.Schema.Index(name); i != nil && i.Unique || i == nil && seemsUnique(name) {
			h.Class, h.Breaks = lint.Gate, true
			h.Message = fmt.Sprintf("DROP INDEX %s: it is unique, so every ON CONFLICT of the running release that relies on it fails, and the way down fails once a value repeats.", name)
		}
	default:
		h.Message = fmt.Sprintf("DROP %s %s leaves out what the running release relies on; drop it in a later release, when the code does it itself.", o.Object, name)
	}
	return []lint.Hit{h}
}
