package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg706 is about: ENABLE ROW LEVEL SECURITY.
func pg706() lint.Rule {
	return lint.Rule{
		ID: "PG706", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ENABLE ROW LEVEL SECURITY",
			Locks:     "ACCESS EXCLUSIVE metadata",
			Versions:  "all",
			Breaks:    "YES: default deny - reads return 0 rows, writes fail 42501",
			Rollback:  "down OK",
			Safe:      "create policies first, same txn",
		},
		Check: checkPG706,
	}
}

func checkPG706(o *lint.Op) []lint.Hit {
	if !o.Is("ENABLE ROW LEVEL SECURITY", "FORCE ROW LEVEL SECURITY") {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("%s on %s hides every row from the running release that no policy shows, and its writes fail (42501); make the policies first, and try it with that release.", o.Part.Verb, o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Breaks: true, Keeps: true,
		Rewrite: fmt.Sprintf("BEGIN;\nCREATE POLICY … ON %s …;\n%s;\nCOMMIT;", lint.Quote(o.Table), o.SQL),
	}}
}
