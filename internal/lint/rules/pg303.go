package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg303 is about: VALIDATE CONSTRAINT check / FK.
func pg303() lint.Rule {
	return lint.Rule{
		ID: "PG303", Class: lint.Info, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "VALIDATE CONSTRAINT check / FK",
			Locks:     "SHARE UPDATE EXCLUSIVE on table (+ROW SHARE on referenced)",
			Versions:  "all >=9.4",
			Breaks:    "No",
			Safe:      "own transaction; never in the same txn as the ADD",
		},
		Check: checkPG303,
	}
}

func checkPG303(o *lint.Op) []lint.Hit {
	if !o.Is("VALIDATE CONSTRAINT") || o.Tx.In && o.Tx.NotValid[o.Of()] {
		return nil
	}
	locks := lint.On(o.Table, lint.ShareUpdateExclusive)
	if k := o.Schema.Constraint(o.Table, o.Part.Name); k != nil {
		locks = append(locks, known(o, k.References, lint.RowShare)...)
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("VALIDATE CONSTRAINT %s reads all rows of %s, and reads and writes go on.", o.Part.Name, o.Table),
		Locks:   locks, Work: lint.Scan, Keeps: true,
	}}
}
