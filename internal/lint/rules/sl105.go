package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// sl105 is about: ALTER COLUMN SET/DROP NOT NULL, ADD CONSTRAINT CHECK, DROP CONSTRAINT.
func sl105() lint.Rule {
	return lint.Rule{
		ID: "SL105", Class: lint.Warn, Dialect: sqltext.SQLite,
		Facts: lint.Facts{
			Operation: "ALTER COLUMN SET/DROP NOT NULL, ADD CONSTRAINT CHECK, DROP CONSTRAINT",
			Locks:     "WRITER while the rows are read",
			Versions:  "3.53 and newer; a syntax error before",
			Breaks:    "writes that do not satisfy what is added",
			Safe:      "before 3.53 the table is made anew",
		},
		Check: checkSL105,
	}
}

func checkSL105(o *lint.Op) []lint.Hit {
	if !o.Is("SET NOT NULL", "DROP NOT NULL", "ADD CONSTRAINT", "DROP CONSTRAINT") || o.Is("ADD CONSTRAINT") && o.Part.Constraint.Kind != "CHECK" && o.Part.Constraint.Kind != "NOT NULL" {
		return nil
	}
	h := lint.Hit{
		Message: fmt.Sprintf("%s on %s reads all rows while no other writer gets in.", o.Part.Verb, o.Table),
		Locks:   lint.On(o.Table, lint.Writer), Work: lint.Scan, Keeps: true, Breaks: !o.Is("DROP NOT NULL") && !(o.Is("SET NOT NULL") && o.NewColumn() && o.Column().Filled()), Stuck: strings.HasPrefix(o.Part.Verb, "DROP"),
	}
	if o.Version < 3053 {
		h.Class = lint.Block
		h.Message = fmt.Sprintf("%s is a syntax error before SQLite 3.53, and this one is %s: the table has to be made anew.", o.Part.Verb, sqliteVersion(o.Version))
		h.Rewrite = rebuildSteps(o)
	}
	return []lint.Hit{h}
}
