// Package live reads from a database what lint has to know of it: its schema,
// its server's version, and about how many rows its tables have. It changes
// nothing and reads no row's values.
package live

import (
	"context"
	"strconv"
	"strings"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// mostCounted is how many rows of a table of SQLite are counted: it keeps no
// estimate, and a table that has more is not small, whatever it has.
const mostCounted = 20_000

// Read reads the schema of a database of the given kind. Functions are left out
// but for their names, and grants altogether: lint does not ask for them.
func Read(ctx context.Context, db database.Database, kind string) (*lint.Snapshot, error) {
	server, err := db.ServerVersion(ctx)
	if err != nil {
		return nil, err
	}
	catalog, err := db.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	out := &lint.Snapshot{Dialect: sqltext.Dialect(kind), Server: server, Rows: map[string]int64{}}
	for _, o := range catalog.Objects {
		if o.Kind != "grant" && o.Kind != "function" && o.Kind != "order" {
			out.Objects = append(out.Objects, lint.Object{Kind: o.Kind, Name: o.Name, Text: o.Text})
		}
	}
	if out.Dialect == sqltext.Postgres {
		return out, estimate(ctx, db, out.Rows)
	}
	return out, count(ctx, db, catalog, out.Rows)
}

// estimate reckons rows as the server's planner does: pages there are now, at
// the density that was seen last. The number seen last alone may be that of a
// table that was empty then.
func estimate(ctx context.Context, db database.Database, into map[string]int64) error {
	rows, err := db.Rows(ctx, `SELECT n.nspname || '.' || c.relname,
			(pg_relation_size(c.oid) / current_setting('block_size')::bigint * CASE WHEN c.reltuples > 0 AND c.relpages > 0 THEN c.reltuples / c.relpages ELSE 100 END)::bigint::text
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema', '_shiplock', '_shiplock_trash')`)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if n, err := strconv.ParseInt(row[1], 10, 64); err == nil {
			into[row[0]] = n
		}
	}
	return nil
}

func count(ctx context.Context, db database.Database, catalog *database.Catalog, into map[string]int64) error {
	for _, o := range catalog.Objects {
		if o.Kind != "table" {
			continue
		}
		rows, err := db.Rows(ctx, `SELECT count(*) FROM (SELECT 1 FROM "`+strings.ReplaceAll(o.Name, `"`, `""`)+`" LIMIT `+strconv.Itoa(mostCounted+1)+`)`)
		if err != nil {
			return err
		}
		if n, err := strconv.ParseInt(rows[0][0], 10, 64); err == nil && n <= mostCounted {
			into[o.Name] = n
		}
	}
	return nil
}
