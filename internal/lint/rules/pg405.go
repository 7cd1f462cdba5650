package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg405 is about: DROP INDEX.
func pg405() lint.Rule {
	return lint.Rule{
		ID: "PG405", Class: lint.Warn, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "DROP INDEX",
			Locks:     "ACCESS EXCLUSIVE on table (+index)",
			Versions:  "all",
			Breaks:    "plans; unique => PG311",
			Rollback:  "recreate is slow",
			Safe:      "DROP INDEX CONCURRENTLY (SHARE UPDATE EXCLUSIVE); fails on constraint indexes",
		},
		Check: checkPG405,
	}
}

func checkPG405(o *lint.Op) []lint.Hit {
	if o.Verb != "DROP" || o.Object != "INDEX" {
		return nil
	}
	var hits []lint.Hit
	for _, name := range o.Names {
		if o.Schema.New("index", name) {
			continue
		}
		i := o.Schema.Index(name)
		// Nobody knows whether an index is unique that the schema does not show.
		h := lint.Hit{Locks: indexLock(o, name), Keeps: i != nil, Breaks: i == nil || i.Unique, Stuck: true}
		switch {
		case o.Concurrently && o.Tx.In:
			h.Class, h.Locks = lint.Block, nil
			h.Message = fmt.Sprintf("DROP INDEX CONCURRENTLY %s fails (25001): it runs within a transaction.", lint.Plain(name))
			h.Rewrite = outside(o) + "\n" + o.SQL + ";"
		case o.Concurrently:
			h.Class = lint.Info
			h.Message = fmt.Sprintf("DROP INDEX CONCURRENTLY %s: queries of the running release that rely on it get slow, and building it again takes long.", lint.Plain(name))
		default:
			h.Message = fmt.Sprintf("DROP INDEX %s locks its table against everybody, and queries of the running release that rely on it get slow.", lint.Plain(name))
			h.Rewrite = fmt.Sprintf("DROP INDEX CONCURRENTLY %s; -- outside of a transaction", lint.Quote(lint.Plain(name)))
		}
		if i == nil && h.Class != lint.Block {
			h.Class = lint.Warn
			h.Message += " If it is unique, which is not known here, its ON CONFLICT fails."
		}
		hits = append(hits, h)
	}
	return hits
}
