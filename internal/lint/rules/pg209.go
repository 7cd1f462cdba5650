package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg209 is about: Widening a column that is a foreign-key TARGET.
func pg209() lint.Rule {
	return lint.Rule{
		ID: "PG209", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "Widening a column that is a foreign-key TARGET",
			Locks:     "ACCESS EXCLUSIVE on the table AND on every referencing table (constraints re-created)",
			Versions:  "all",
			Breaks:    "prepared 0A000",
			Safe:      "lock retry; treat as multi-table lock",
		},
		Check: checkPG209,
	}
}

func checkPG209(o *lint.Op) []lint.Hit {
	if changeOf(o).rule != "PG203" {
		return nil
	}
	from := o.Schema.Referencing(o.Table, o.Part.Name)
	if len(from) == 0 {
		return nil
	}
	locks := lint.On(o.Table, lint.AccessExclusive)
	for _, t := range from {
		locks = append(locks, known(o, t, lint.AccessExclusive)...)
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("TYPE of %s locks %s too: their foreign keys are made anew.", o.Of(), strings.Join(from, ", ")),
		Locks:   locks, Keeps: true,
	}}
}
