package rules

import (
	"fmt"
	"slices"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg205 is about: ALTER TYPE .. COLLATE, or widening a column used in a partial/expression index predicate.
func pg205() lint.Rule {
	return lint.Rule{
		ID: "PG205", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ALTER TYPE .. COLLATE, or widening a column used in a partial/expression index predicate",
			Locks:     "ACCESS EXCLUSIVE; heap not rewritten but the index is REBUILT with a scan under ACCESS EXCLUSIVE; plain index on a widened column is not rebuilt",
			Versions:  "all",
			Breaks:    "ordering changes; prepared 0A000",
			Safe:      "new index CONCURRENTLY on new expression, drop old first",
		},
		Check: checkPG205,
	}
}

func checkPG205(o *lint.Op) []lint.Hit {
	if !o.Is("TYPE") {
		return nil
	}
	c := changeOf(o)
	why, index := "", ""
	for _, i := range o.Schema.Indexes(o.Table) {
		if i.Complex && mentions(i.Text, o.Part.Name) || o.Part.Collate != "" && slices.Contains(i.Columns, o.Part.Name) {
			why, index = "builds the index "+i.Name+" anew", i.Name
		}
	}
	switch {
	case o.Part.Collate != "" && why == "":
		why = "builds every index on it anew"
	case why == "" || c.rule != "PG203" && c.rule != "":
		return nil
	}
	rewrite := ""
	if index != "" {
		rewrite = fmt.Sprintf("DROP INDEX CONCURRENTLY %s;\n%s;\n-- then build it anew with CREATE INDEX CONCURRENTLY", lint.Quote(index), o.SQL)
	}
	class := lint.Class("")
	if index != "" {
		class = lint.Block // it is known that there is one
	}
	return []lint.Hit{{
		Class: class, Message: fmt.Sprintf("TYPE of %s %s while nobody can use %s, although no row is written.", o.Of(), why, o.Table),
		Locks: lint.On(o.Table, lint.AccessExclusive), Work: lint.IndexBuild, Keeps: true, Breaks: o.Part.Collate != "" && !o.NewColumn(), Rewrite: rewrite,
	}}
}
