package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg404 is about: CREATE INDEX on partitioned table.
func pg404() lint.Rule {
	return lint.Rule{
		ID: "PG404", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "CREATE INDEX on partitioned table",
			Locks:     "SHARE on parent and every partition",
			Versions:  "all; CONCURRENTLY not supported on parent",
			Breaks:    "No",
			Safe:      "ON ONLY parent (S, metadata) + CONCURRENTLY per partition + ATTACH",
		},
		Check: checkPG404,
	}
}

func checkPG404(o *lint.Op) []lint.Hit {
	if !o.Creates("INDEX") || !o.Known(o.Table) || !partitioned(o) {
		return nil
	}
	if o.Only {
		return []lint.Hit{{
			Class: lint.Info, Keeps: true, Locks: lint.On(o.Table, lint.Share),
			Message: fmt.Sprintf("CREATE INDEX ON ONLY %s changes the catalogue alone; the index is valid when one of each partition is attached.", o.Table),
		}}
	}
	if o.Concurrently {
		return []lint.Hit{{
			Message: fmt.Sprintf("CREATE INDEX CONCURRENTLY on %s fails: it is partitioned, and an index of it is not built concurrently.", o.Table), Keeps: true,
			Rewrite: perPartition(o),
		}}
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("CREATE INDEX on %s, which is partitioned, keeps writers off it and off every partition until all are built.", o.Table),
		Locks:   append(lint.On(o.Table, lint.Share), partitions(o, lint.Share)...), Work: lint.IndexBuild, Keeps: true, Rewrite: perPartition(o),
		Breaks: o.Unique,
	}}
}
