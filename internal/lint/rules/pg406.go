package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg406 is about: REINDEX INDEX/TABLE.
func pg406() lint.Rule {
	return lint.Rule{
		ID: "PG406", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "REINDEX INDEX/TABLE",
			Locks:     "SHARE on table + ACCESS EXCLUSIVE on index",
			Versions:  "CONCURRENTLY PG>=12 (SHARE UPDATE EXCLUSIVE)",
			Breaks:    "reads using that index block",
			Safe:      "CONCURRENTLY; clean *_ccnew leftovers",
		},
		Check: checkPG406,
	}
}

func checkPG406(o *lint.Op) []lint.Hit {
	if o.Verb != "REINDEX" {
		return nil
	}
	name := o.Name()
	if o.Object == "TABLE" && o.Schema.NewTable(name) || o.Object == "INDEX" && o.Schema.New("index", name) {
		return nil
	}
	if o.Concurrently && o.Version >= 12 {
		if o.Tx.In {
			return []lint.Hit{{Message: fmt.Sprintf("REINDEX CONCURRENTLY %s fails (25001): it runs within a transaction.", name), Keeps: true, Rewrite: outside(o) + "\n" + o.SQL + ";"}}
		}
		return []lint.Hit{{
			Class: lint.Info, Keeps: true, Work: lint.IndexBuild,
			Message: fmt.Sprintf("REINDEX CONCURRENTLY %s lets reads and writes go on; when it fails it leaves an index named …_ccnew behind.", name),
		}}
	}
	table := name
	if o.Object == "INDEX" {
		table = ""
		if i := o.Schema.Index(name); i != nil {
			table = i.Table
		}
	}
	h := lint.Hit{
		Message: fmt.Sprintf("REINDEX %s keeps writers off the table, and readers off the index, until it is built.", name), Work: lint.IndexBuild, Keeps: true, Breaks: true,
		Locks: []lint.Lock{{Table: name, Mode: lint.AccessExclusive}},
	}
	if o.Object == "TABLE" {
		h.Locks = nil
	}
	if table != "" {
		h.Locks = append(lint.On(table, lint.Share), h.Locks...)
	}
	if o.Version >= 12 {
		h.Rewrite = fmt.Sprintf("REINDEX %s CONCURRENTLY %s; -- outside of a transaction", o.Object, lint.Quote(name))
	}
	return []lint.Hit{h}
}
