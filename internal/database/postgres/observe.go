package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/database"
)

var _ database.Observer = (*DB)(nil)

// OpenTransactions implements [database.Observer]. Transactions that were
// prepared for a commit in two phases have no session: they count, too.
func (d *DB) OpenTransactions(ctx context.Context, longer time.Duration) (found []database.Transaction, err error) {
	err = d.read(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT a.pid::bigint, coalesce(a.application_name, ''), coalesce(a.usename::text, '?'), coalesce(a.state, 'state not visible'),
				extract(epoch FROM clock_timestamp() - a.xact_start)::float8, a.query_start, a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL,
				ARRAY(SELECT format('%s.%s', n.nspname, c.relname) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
					WHERE l.pid = a.pid AND l.granted AND l.database = a.datid AND c.relkind IN ('r', 'p') AND n.nspname <> 'pg_catalog' ORDER BY 1)
			FROM pg_stat_activity a
			WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
				AND a.xact_start < clock_timestamp() - $1::float8 * interval '1 second'
				AND a.application_name NOT LIKE 'shiplock run=% epoch=%'
			UNION ALL
			SELECT 0, 'prepared transaction ' || p.gid, p.owner::text, 'prepared', extract(epoch FROM clock_timestamp() - p.prepared)::float8, NULL, true,
				ARRAY(SELECT format('%s.%s', n.nspname, c.relname) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
					WHERE l.virtualtransaction = '-1/' || p.transaction::text AND c.relkind IN ('r', 'p') AND n.nspname <> 'pg_catalog' ORDER BY 1)
			FROM pg_prepared_xacts p WHERE p.database = current_database() AND p.prepared < clock_timestamp() - $1::float8 * interval '1 second'
			ORDER BY 5 DESC LIMIT 100`, longer.Seconds())
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t database.Transaction, err error) {
			var age float64
			var query *time.Time
			err = row.Scan(&t.PID, &t.Application, &t.User, &t.State, &age, &query, &t.Snapshot, &t.Tables)
			t.Age = time.Duration(age * float64(time.Second))
			if query != nil {
				t.Query = *query
			}
			return t, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for open transactions: %w", err)
	}
	return found, nil
}
