package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// sl109 is about: a table made anew: CREATE the new one, INSERT … SELECT, DROP the old one, RENAME.
func sl109() lint.Rule {
	return lint.Rule{
		ID: "SL109", Class: lint.Block, Dialect: sqltext.SQLite,
		Facts: lint.Facts{
			Operation: "a table made anew: CREATE the new one, INSERT … SELECT, DROP the old one, RENAME",
			Locks:     "WRITER while all rows are copied",
			Versions:  "all",
			Breaks:    "what changed in the table cannot be told from the text",
			Rollback:  "triggers, views and foreign keys are lost when they are forgotten",
			Safe:      "PRAGMA foreign_keys = OFF outside of a transaction before it, PRAGMA foreign_key_check after it; make triggers and views again",
		},
		Check: checkSL109,
	}
}

func checkSL109(o *lint.Op) []lint.Hit {
	if o.Verb != "DROP" || o.Object != "TABLE" || len(o.Names) != 1 || !o.Release.Rebuilt[lint.Plain(o.Names[0])] || o.Schema.NewTable(o.Names[0]) {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("%s is made anew with other columns, and what changed in it cannot be told from the text; say with a declaration why the running release can live with it.", lint.Plain(o.Names[0])),
		Locks:   lint.On(o.Names[0], lint.Writer), Work: lint.Rewrite, Breaks: true, Stuck: true,
		Rewrite: "PRAGMA foreign_keys = OFF; -- before BEGIN\n…\nPRAGMA foreign_key_check;\nPRAGMA foreign_keys = ON; -- after COMMIT",
	}}
}
