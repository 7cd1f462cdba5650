package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

var (
	_ database.Backfiller = (*DB)(nil)
	_ database.Filler     = (*lock)(nil)
)

// backfillSchema is created by the first backfill.
const backfillSchema = `
CREATE TABLE IF NOT EXISTS _shiplock.backfill (
	name     text PRIMARY KEY,
	status   text NOT NULL,
	progress jsonb NOT NULL,
	at       timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON _shiplock.backfill TO PUBLIC;`

// Progress returns what is known of backfills.
func (d *DB) Progress(ctx context.Context) (all []database.Progress, err error) {
	err = d.read(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT progress FROM _shiplock.backfill ORDER BY name")
		if err != nil {
			return unlessAbsent(err)
		}
		all, err = pgx.CollectRows(rows, scanProgress)
		return unlessAbsent(err)
	})
	return all, err
}

func scanProgress(row pgx.CollectableRow) (p database.Progress, err error) {
	var text []byte
	if err = row.Scan(&text); err != nil {
		return p, err
	}
	return p, json.Unmarshal(text, &p)
}

// Fill does a page of a backfill. Where it begins is read within the
// transaction: whatever the caller believes, nothing is done twice.
func (l *lock) Fill(ctx context.Context, b database.Batch) (done database.Filled, err error) {
	err = l.withWorker(ctx, func(conn *pgx.Conn) error {
		begun := time.Now()
		err := inTransaction(ctx, conn, min(l.db.lockTimeout, b.Wait), func() error {
			if err := l.check(ctx, conn); err != nil {
				return err
			}
			if _, err := conn.Exec(ctx, fmt.Sprintf("SET LOCAL statement_timeout = %d", b.Longest.Milliseconds())); err != nil {
				return fmt.Errorf("limit a batch: %w", err)
			}
			done, err = l.fill(ctx, conn, b)
			return err
		})
		done.Took = time.Since(begun)
		return batchError(ctx, err)
	})
	return done, err
}

func (l *lock) fill(ctx context.Context, conn *pgx.Conn, b database.Batch) (done database.Filled, err error) {
	p, err := readProgress(ctx, conn, b.Name)
	if err != nil {
		return done, err
	}
	if p, err = database.BeginFill(p, b, l.fence); err != nil {
		return done, err
	}
	if p.Last == nil {
		last, err := textRows(ctx, conn, b.SQL.Last, nil)
		if err != nil {
			return done, fmt.Errorf("look for the last row: %w", err)
		}
		if len(last) == 0 {
			return database.Filled{Progress: p, End: true}, nil
		}
		p.Last = last[0]
	}
	bound, do := b.SQL.FirstBound, b.SQL.First
	if p.Cursor != nil {
		bound, do = b.SQL.Bound, b.SQL.Next
	}
	after := asArguments(p.Cursor)
	page, err := textRows(ctx, conn, bound, slices.Concat(after, asArguments(p.Last), []any{b.Limit}))
	if err != nil {
		return done, fmt.Errorf("look for the next page: %w", err)
	}
	done.Progress, done.End = p, len(page) == 0
	if done.End {
		return done, nil
	}
	upto := page[0][1:]
	changed, err := conn.Exec(ctx, do, slices.Concat(after, asArguments(upto))...)
	if err != nil {
		return done, failure(err, do, 0)
	}
	// Before the end of the transaction: whoever waits for one of our rows still does.
	if err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
		AND datname = current_database() AND pg_backend_pid() = ANY (pg_blocking_pids(pid))`).Scan(&done.Waiting); err != nil {
		return done, fmt.Errorf("look who waits: %w", err)
	}
	if _, err := fmt.Sscan(page[0][0], &done.Seen); err != nil {
		return done, fmt.Errorf("size of the page: %w", err)
	}
	done.Rows = changed.RowsAffected()
	done.Progress = database.Advance(p, b, upto, done)
	return done, writeProgress(ctx, conn, done.Progress)
}

// batchError marks the errors after which a smaller batch may do.
func batchError(ctx context.Context, err error) error {
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case hasCode(err, "57014"):
		return fmt.Errorf("%w: %w", database.ErrTooLong, err)
	case hasCode(err, "55P03", "40P01", "40001"): // waited in vain, or was the one to give way
		return fmt.Errorf("%w: %w", database.ErrBusy, err)
	}
	return err
}

func asArguments(key []string) []any {
	out := make([]any, len(key))
	for i, k := range key {
		out[i] = k // as text, which every type is read from
	}
	return out
}

// Keep writes progress and records.
func (l *lock) Keep(ctx context.Context, p database.Progress, records ...ship.Record) error {
	return l.withWorker(ctx, func(conn *pgx.Conn) error {
		return inTransaction(ctx, conn, l.db.lockTimeout, func() error {
			if err := l.check(ctx, conn); err != nil {
				return err
			}
			if _, err := readProgress(ctx, conn, p.Name); err != nil {
				return err
			}
			if err := writeProgress(ctx, conn, p); err != nil {
				return err
			}
			return record(ctx, conn, ship.Work{Record: records})
		})
	})
}

// withWorker calls do with the session that works.
func (l *lock) withWorker(ctx context.Context, do func(*pgx.Conn) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	conn, err := l.session(ctx)
	if err != nil {
		return err
	}
	return l.ended(ctx, conn, do(conn))
}

// readProgress makes the table unless it is there, and returns what it has of a
// backfill.
func readProgress(ctx context.Context, conn *pgx.Conn, name string) (p database.Progress, err error) {
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass('_shiplock.backfill') IS NOT NULL").Scan(&exists); err != nil {
		return p, fmt.Errorf("look for the progress of backfills: %w", err)
	}
	if !exists {
		if _, err := conn.Exec(ctx, backfillSchema); err != nil {
			return p, fmt.Errorf("create the table of backfills: %w", err)
		}
		return p, nil
	}
	var text []byte
	err = conn.QueryRow(ctx, "SELECT progress FROM _shiplock.backfill WHERE name = $1", name).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		return p, fmt.Errorf("read the progress of %s: %w", name, err)
	}
	return p, nil
}

func writeProgress(ctx context.Context, conn *pgx.Conn, p database.Progress) error {
	p.At = time.Now().UTC()
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("keep the progress of %s: %w", p.Name, err)
	}
	if _, err := conn.Exec(ctx, `INSERT INTO _shiplock.backfill (name, status, progress) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET status = excluded.status, progress = excluded.progress, at = now()`,
		p.Name, p.Status, text); err != nil {
		return fmt.Errorf("keep the progress of %s: %w", p.Name, err)
	}
	return nil
}

// Strain says what speaks against another batch. A role that may not see other
// sessions' details sees no replicas and no autovacuum.
func (d *DB) Strain(ctx context.Context, table string) (s database.Strain, err error) {
	err = d.read(ctx, func(conn *pgx.Conn) error {
		var lag float64
		err := conn.QueryRow(ctx, `SELECT
			(SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND locktype IN ('relation', 'tuple') AND relation = to_regclass($1)),
			(SELECT coalesce(max(extract(epoch FROM replay_lag)), 0)::float8 FROM pg_stat_replication),
			(SELECT count(*) > 0 FROM pg_stat_progress_vacuum v JOIN pg_stat_activity a ON a.pid = v.pid
				WHERE v.relid = to_regclass($1) AND a.backend_type = 'autovacuum worker')`, table).Scan(&s.Waiting, &lag, &s.Vacuumed)
		s.Lag = time.Duration(lag * float64(time.Second))
		return err
	})
	return s, err
}

// Estimate returns what the planner believes of a table's size.
func (d *DB) Estimate(ctx context.Context, table string) (rows int64, err error) {
	err = d.read(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT greatest(coalesce((SELECT reltuples FROM pg_class WHERE oid = to_regclass($1)), 0), 0)::bigint", table).Scan(&rows)
	})
	return rows, err
}
