package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg117 is about: DROP COLUMN with dependent index/constraint/FK.
func pg117() lint.Rule {
	return lint.Rule{
		ID: "PG117", Class: lint.Gate, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "DROP COLUMN with dependent index/constraint/FK",
			Locks:     "ACCESS EXCLUSIVE on table (+ ACCESS EXCLUSIVE on referenced table when an FK goes)",
			Versions:  "all",
			Breaks:    "as PG116; implicit index drop can break ON CONFLICT and plans",
			Rollback:  "as PG116",
			Safe:      "DROP INDEX CONCURRENTLY first, then drop FK with lock retry, then column",
		},
		Check: checkPG117,
	}
}

func checkPG117(o *lint.Op) []lint.Hit {
	if !o.Is("DROP COLUMN") || o.NewColumn() {
		return nil
	}
	with, locks := dependents(o)
	if len(with) == 0 && !o.Part.Cascade {
		return nil
	}
	if o.Part.Cascade {
		for _, v := range o.Schema.ViewsOn(o.Table, o.Part.Name) {
			with = append(with, "the view "+v)
			locks = append(locks, lint.On(v, lint.AccessExclusive)...)
		}
	}
	what := strings.Join(with, ", ")
	if what == "" {
		what = "whatever depends on it"
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("DROP COLUMN %s drops with it: %s. An ON CONFLICT that relies on one fails, and queries lose their index.", o.Of(), what),
		Locks:   append(lint.On(o.Table, lint.AccessExclusive), locks...), Breaks: true, Stuck: true,
		Rewrite: dependentSteps(o),
	}}
}
