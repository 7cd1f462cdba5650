package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// sl103 is about: DROP COLUMN.
func sl103() lint.Rule {
	return lint.Rule{
		ID: "SL103", Class: lint.Gate, Dialect: sqltext.SQLite,
		Facts: lint.Facts{
			Operation: "DROP COLUMN",
			Locks:     "WRITER while all rows are written anew",
			Versions:  "3.35 and newer; refused when the column is indexed, UNIQUE, or used in a CHECK, view or trigger",
			Breaks:    "every query that names the column",
			Rollback:  "the values are lost",
			Safe:      "stop using it first, and drop it in a later release",
		},
		Check: checkSL103,
	}
}

func checkSL103(o *lint.Op) []lint.Hit {
	if !o.Is("DROP COLUMN") || o.NewColumn() {
		return nil
	}
	h := lint.Hit{
		Message: fmt.Sprintf("DROP COLUMN %s writes all rows anew, makes every query of the running release that names it fail, and its values are lost; stop using it first, and drop it in a later release.", o.Of()),
		Locks:   lint.On(o.Table, lint.Writer), Work: lint.Rewrite, Breaks: true, Stuck: true,
	}
	if names, _ := dependents(o); len(names) > 0 {
		h.Class = lint.Block
		h.Message += fmt.Sprintf(" SQLite refuses it while there is %s.", strings.Join(names, ", "))
	}
	return []lint.Hit{h}
}
