package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg126 is about: SET STATISTICS / n_distinct.
func pg126() lint.Rule {
	return lint.Rule{
		ID: "PG126", Class: lint.Info, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "SET STATISTICS / n_distinct",
			Locks:     "SHARE UPDATE EXCLUSIVE metadata",
			Versions:  "all",
			Breaks:    "No",
			Safe:      "Allow",
		},
		Check: checkPG126,
	}
}

func checkPG126(o *lint.Op) []lint.Hit {
	if !o.Is("COLUMN SET STATISTICS", "COLUMN SET", "COLUMN RESET") {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("%s on %s changes the catalogue alone, and reads and writes go on.", strings.TrimPrefix(o.Part.Verb, "COLUMN "), o.Of()),
		Locks:   lint.On(o.Table, lint.ShareUpdateExclusive), Keeps: true,
	}}
}
