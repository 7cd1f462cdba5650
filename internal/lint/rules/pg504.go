package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg504 is about: ATTACH PARTITION.
func pg504() lint.Rule {
	return lint.Rule{
		ID: "PG504", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ATTACH PARTITION",
			Locks:     "SHARE UPDATE EXCLUSIVE on parent, ACCESS EXCLUSIVE on child; scan of child unless CHECK implies bound; ACCESS EXCLUSIVE + scan of DEFAULT",
			Versions:  "PG11: ACCESS EXCLUSIVE on parent; >=12 SHARE UPDATE EXCLUSIVE (measured)",
			Breaks:    "No",
			Rollback:  "down = DETACH (ACCESS EXCLUSIVE)",
			Safe:      "pre-add VALID CHECK on child and on DEFAULT",
		},
		Check: checkPG504,
	}
}

func checkPG504(o *lint.Op) []lint.Hit {
	if !o.Is("ATTACH PARTITION") {
		return nil
	}
	child := lint.Plain(o.Part.Name)
	mode := lint.ShareUpdateExclusive
	h := lint.Hit{Keeps: true, Stuck: true}
	if o.Version < 12 {
		mode, h.Class = lint.AccessExclusive, lint.Block
	}
	h.Locks = append(lint.On(o.Table, mode), known(o, child, lint.AccessExclusive)...)
	h.Locks = append(h.Locks, defaultPartition(o, o.Table)...)
	h.Message = fmt.Sprintf("ATTACH PARTITION %s reads all its rows unless a valid CHECK implies the bound, and the rows of a DEFAULT partition.", child)
	if !o.Known(child) {
		h.Message = fmt.Sprintf("ATTACH PARTITION %s, which is new, reads only the rows of a DEFAULT partition of %s.", child, o.Table)
	} else if t := o.Schema.Table(child); t == nil || !checked(t) {
		h.Work = lint.Scan
		if t != nil && t.Whole {
			h.Class = lint.Block // it is known that nothing proves the bound
		}
		h.Rewrite = fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s CHECK (…) NOT VALID; -- what the bound says, and NOT NULL\nALTER TABLE %s VALIDATE CONSTRAINT %s;\n%s;",
			lint.Quote(child), lint.Quote(last(child)+"_bound"), lint.Quote(child), lint.Quote(last(child)+"_bound"), o.SQL)
	}
	return []lint.Hit{h}
}
