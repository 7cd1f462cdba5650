package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/database"
)

var _ database.Counter = (*DB)(nil)

// mostStatements bounds what is read: pg_stat_statements.max is 5000 as a rule.
const mostStatements = 50_000

// Statements reads pg_stat_statements: every statement of this database, with
// its literals taken out, whoever sent it.
func (d *DB) Statements(ctx context.Context) (out database.Statements, err error) {
	err = d.read(ctx, func(conn *pgx.Conn) error {
		var version int
		var schema string
		err := conn.QueryRow(ctx, `SELECT now(), current_setting('server_version_num')::int,
			coalesce((SELECT quote_ident(n.nspname) FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace WHERE x.extname = 'pg_stat_statements'), '')`).
			Scan(&out.At, &version, &schema)
		if err != nil {
			return err
		}
		switch {
		case schema == "":
			out.Missing, out.Next = "the extension pg_stat_statements is not in the database: nobody counts its statements", "add it to shared_preload_libraries, then: CREATE EXTENSION pg_stat_statements"
			return nil
		case version < 140000:
			out.Missing, out.Next = "PostgreSQL before 14 does not say when pg_stat_statements was reset", "look for the statements yourself"
			return nil
		}
		return readStatements(ctx, conn, schema, &out)
	})
	return out, err
}

func readStatements(ctx context.Context, conn *pgx.Conn, schema string, out *database.Statements) error {
	var reset *time.Time
	err := conn.QueryRow(ctx, fmt.Sprintf("SELECT stats_reset, dealloc FROM %s.pg_stat_statements_info", schema)).Scan(&reset, &out.Evicted)
	if hasCode(err, "55000") { // the library is not loaded
		out.Missing, out.Next = "pg_stat_statements is in the database and not loaded by the server", "add it to shared_preload_libraries and start the server again"
		return nil
	}
	if err != nil {
		return err
	}
	if reset != nil {
		out.Reset = *reset
	}
	if err := uncounted(ctx, conn, out); err != nil || out.Missing != "" {
		return err
	}
	rows, err := conn.Query(ctx, fmt.Sprintf(`SELECT userid::text || '.' || queryid::text || '.' || toplevel::text, query, calls
		FROM %s.pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT %d`, schema, mostStatements))
	if err != nil {
		return err
	}
	defer rows.Close()
	hidden := 0
	for rows.Next() {
		var id, text *string
		var s database.Statement
		if err := rows.Scan(&id, &text, &s.Calls); err != nil {
			return err
		}
		if id == nil || text == nil || *text == "<insufficient privilege>" {
			hidden++
			continue
		}
		s.ID, s.SQL = *id, *text
		out.All = append(out.All, s)
	}
	if len(out.All)+hidden == mostStatements {
		out.Missing = fmt.Sprintf("there are more than %d statements: not all of them are read", mostStatements-1)
	}
	if hidden > 0 {
		out.Missing = fmt.Sprintf("%d statements of other roles are hidden from ours", hidden)
		out.Next = "GRANT pg_read_all_stats TO the role of migrate_url"
	}
	return rows.Err()
}

// uncounted says when the server is told to count nothing, or nothing of a role.
func uncounted(ctx context.Context, conn *pgx.Conn, out *database.Statements) error {
	var server bool
	var roles string
	err := conn.QueryRow(ctx, `SELECT coalesce(current_setting('pg_stat_statements.track', true), '') = 'none',
			coalesce((SELECT string_agg(DISTINCT CASE s.setrole WHEN 0 THEN 'this database' ELSE 'role ' || pg_get_userbyid(s.setrole) END, ', ')
				FROM pg_db_role_setting s WHERE 'pg_stat_statements.track=none' = ANY (s.setconfig)
				AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))), '')`).Scan(&server, &roles)
	switch {
	case err != nil:
		return err
	case roles != "":
		out.Missing, out.Next = "pg_stat_statements counts nothing of "+roles, "ALTER ROLE … RESET pg_stat_statements.track"
	case server:
		out.Missing, out.Next = "pg_stat_statements is told to count nothing", "set pg_stat_statements.track to top"
	}
	return nil
}
