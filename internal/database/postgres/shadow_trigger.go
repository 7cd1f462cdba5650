package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/ship"
)

// The event trigger writes, at the end of each command, which locks its
// session holds: nobody outside could see them all.
const (
	installSQL = `CREATE SCHEMA _shiplock_watch;
CREATE TABLE _shiplock_watch.rehearsed (seq bigserial, at timestamptz DEFAULT clock_timestamp(), begun timestamptz, statement text, relation oid, mode text);
GRANT USAGE ON SCHEMA _shiplock_watch TO PUBLIC; GRANT ALL ON _shiplock_watch.rehearsed TO PUBLIC; GRANT ALL ON SEQUENCE _shiplock_watch.rehearsed_seq_seq TO PUBLIC;
CREATE FUNCTION _shiplock_watch.rehearse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO _shiplock_watch.rehearsed (begun, statement, relation, mode)
	SELECT statement_timestamp(), left(current_query(), 2000), l.relation, l.mode FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_locks l
	ON l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted;
END $$;
CREATE EVENT TRIGGER _shiplock_rehearse ON ddl_command_end EXECUTE PROCEDURE _shiplock_watch.rehearse()`
	uninstallSQL = `DROP EVENT TRIGGER IF EXISTS _shiplock_rehearse; DROP SCHEMA IF EXISTS _shiplock_watch CASCADE`
)

// install tells whether it may: event triggers are a superuser's.
func (w *watching) install(ctx context.Context) bool {
	_, err := w.conn.Exec(ctx, installSQL, pgx.QueryExecModeSimpleProtocol)
	return err == nil
}

// uninstall returns what the trigger told, a line for each command.
func (w *watching) uninstall(ctx context.Context) ([]ship.Effect, error) {
	if !w.exact {
		return nil, nil
	}
	told, err := w.told(ctx)
	_, dropped := w.conn.Exec(ctx, uninstallSQL, pgx.QueryExecModeSimpleProtocol)
	return told, errors.Join(err, dropped)
}

func (w *watching) told(ctx context.Context) ([]ship.Effect, error) {
	rows, err := w.conn.Query(ctx, `SELECT begun, max(at), statement, array_remove(array_agg(relation::bigint ORDER BY seq), NULL), array_remove(array_agg(mode ORDER BY seq), NULL)
		FROM _shiplock_watch.rehearsed GROUP BY begun, statement ORDER BY min(seq)`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (e ship.Effect, err error) {
		var begun, ended time.Time
		var relations []int64
		var held []string
		if err := row.Scan(&begun, &ended, &e.Statement, &relations, &held); err != nil {
			return e, err
		}
		heaviest := map[uint32]string{}
		for i, r := range relations {
			if i < len(held) {
				heavier(heaviest, uint32(r), held[i]) //nolint:gosec // an oid fits
			}
		}
		e.TookMS, e.Locks = millis(ended.Sub(begun)), named(heaviest, w.begun.tables)
		return e, nil
	})
}
