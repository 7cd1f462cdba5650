package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/database"
)

// Catalog describes the schemas of users in one snapshot. What an extension
// brought is left out, the extension and its version are listed instead.
func (d *DB) Catalog(ctx context.Context) (*database.Catalog, error) {
	c := &database.Catalog{}
	err := d.read(ctx, func(conn *pgx.Conn) error {
		// Without a search path every name in a definition is qualified.
		for _, s := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SET LOCAL search_path = ''"} {
			if _, err := conn.Exec(ctx, s); err != nil {
				return err
			}
		}
		var version int
		if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
			return err
		}
		for _, q := range catalogQueries(version) {
			if err := describe(ctx, conn, c, q); err != nil {
				return fmt.Errorf("describe schema (%s): %w", q.kind, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.Sort()
	return c, nil
}

func describe(ctx context.Context, conn *pgx.Conn, c *database.Catalog, q catalogQuery) error {
	rows, err := conn.Query(ctx, q.sql)
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o database.Object, err error) {
		o.Kind = q.kind
		err = row.Scan(&o.Name, &o.Text)
		o.Text = strings.TrimSpace(o.Text)
		return o, err
	})
	c.Objects = append(c.Objects, found...)
	return err
}

// A catalogQuery yields name and definition of all objects of a kind.
type catalogQuery struct{ kind, sql string }

// catalogQueries returns the queries for a server of the given version number.
func catalogQueries(version int) []catalogQuery {
	generated := "''"
	if version >= 120000 {
		generated = "a.attgenerated::text"
	}
	fill := strings.NewReplacer("{generated}", generated,
		"{users}", `n.nspname NOT IN ('pg_catalog', 'information_schema', '_shiplock', '_shiplock_trash') AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'`,
		"{rel}", "format('%I.%I', n.nspname, c.relname)",
		"{own rel}", notOf("pg_class", "c.oid"), "{own proc}", notOf("pg_proc", "p.oid"), "{own type}", notOf("pg_type", "t.oid"),
		"{role}", "CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END",
		"{rights}", "string_agg(x.privilege_type || CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END, ', ' ORDER BY x.privilege_type, x.is_grantable)")
	out := make([]catalogQuery, 0, len(relationQueries)+len(otherQueries))
	for _, group := range [][]catalogQuery{relationQueries, otherQueries} {
		for _, q := range group {
			out = append(out, catalogQuery{q.kind, fill.Replace(q.sql)})
		}
	}
	return out
}

// notOf is the condition that an object does not belong to an extension.
func notOf(class, oid string) string {
	return fmt.Sprintf("NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '%s'::regclass AND e.objid = %s AND e.deptype = 'e')", class, oid)
}
