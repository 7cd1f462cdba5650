package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg503 is about: CREATE TABLE PARTITION OF.
func pg503() lint.Rule {
	return lint.Rule{
		ID: "PG503", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "CREATE TABLE PARTITION OF",
			Locks:     "ACCESS EXCLUSIVE on PARENT (and on DEFAULT partition)",
			Versions:  "all 11-18",
			Breaks:    "blocks the whole partitioned table",
			Safe:      "CREATE TABLE LIKE + matching CHECK + ATTACH (SHARE UPDATE EXCLUSIVE on parent >=12)",
		},
		Check: checkPG503,
	}
}

func checkPG503(o *lint.Op) []lint.Hit {
	if !o.Creates("TABLE") || o.PartitionOf == "" || !o.Known(o.PartitionOf) {
		return nil
	}
	parent, child := lint.Plain(o.PartitionOf), o.Name()
	return []lint.Hit{{
		Message: fmt.Sprintf("CREATE TABLE %s PARTITION OF %s locks all of %s against everybody; make the table and attach it.", child, parent, parent),
		Locks:   append(lint.On(parent, lint.AccessExclusive), defaultPartition(o, parent)...), Keeps: true, Rewrite: attachSteps(o, parent, child),
	}}
}
