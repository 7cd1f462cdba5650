package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// sl104 is about: RENAME COLUMN, RENAME TO.
func sl104() lint.Rule {
	return lint.Rule{
		ID: "SL104", Class: lint.Block, Dialect: sqltext.SQLite,
		Facts: lint.Facts{
			Operation: "RENAME COLUMN, RENAME TO",
			Locks:     "WRITER for a moment; views and triggers are rewritten",
			Versions:  "all",
			Breaks:    "every query that uses the old name",
			Rollback:  "breaks the new release",
			Safe:      "add the new name beside the old one",
		},
		Check: checkSL104,
	}
}

func checkSL104(o *lint.Op) []lint.Hit {
	switch {
	case o.Is("RENAME COLUMN") && !o.NewColumn():
		return []lint.Hit{{
			Message: fmt.Sprintf("RENAME COLUMN %s makes every query of the running release that names it fail; add %s beside it, write both, fill it in batches, and drop the old one in a later release.", o.Of(), o.Part.To),
			Locks:   lint.On(o.Table, lint.Writer), Breaks: true, Keeps: true, Stuck: true, Rewrite: renameSteps(o),
		}}
	case o.Is("RENAME TO"):
		return []lint.Hit{{
			Message: fmt.Sprintf("RENAME of %s makes every query of the running release that names it fail; keep the name, or leave a view under it until a later release.", o.Table),
			Locks:   lint.On(o.Table, lint.Writer), Breaks: true, Keeps: true, Stuck: true,
		}}
	}
	return nil
}
