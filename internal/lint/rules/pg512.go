package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg512 is about: CLUSTER / VACUUM FULL.
func pg512() lint.Rule {
	return lint.Rule{
		ID: "PG512", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "CLUSTER / VACUUM FULL",
			Locks:     "ACCESS EXCLUSIVE + rewrite",
			Versions:  "PG19 adds REPACK [CONCURRENTLY]",
			Breaks:    "blocks",
			Safe:      "pg_repack / REPACK",
		},
		Check: checkPG512,
	}
}

func checkPG512(o *lint.Op) []lint.Hit {
	switch {
	case o.Verb == "CLUSTER":
	case o.Verb == "VACUUM" && o.Head.Object == "FULL":
	case o.Verb == "" && len(o.Words) > 0 && o.Words[0] == "REPACK" && !o.Has("CONCURRENTLY"):
	default:
		return nil
	}
	table := o.Name()
	if o.Verb == "VACUUM" && len(o.Words) > 0 {
		table = vacuumed(o)
	}
	if table != "" && o.Schema.NewTable(table) {
		return nil
	}
	what, verb := orElse(table, "every table"), strings.TrimSpace(o.Verb+" "+o.Head.Object)
	if verb == "" {
		verb = "REPACK"
	}
	h := lint.Hit{
		Message: fmt.Sprintf("%s writes %s anew while nobody can use it; do it outside of a deployment.", verb, what),
		Work:    lint.Rewrite, Breaks: true, Keeps: true, Rewrite: fmt.Sprintf("-- pg_repack --table=%s does it while the application runs", orElse(table, "…")),
	}
	if table != "" {
		h.Locks = lint.On(table, lint.AccessExclusive)
	}
	return []lint.Hit{h}
}
