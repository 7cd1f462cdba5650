package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

const ledgerSchema = `
CREATE TABLE IF NOT EXISTS _shiplock_fence (
	id     INTEGER PRIMARY KEY CHECK (id = 1),
	epoch  INTEGER NOT NULL,
	run    TEXT NOT NULL,
	holder TEXT NOT NULL,
	token  TEXT NOT NULL,
	pid    INTEGER NOT NULL,
	start  TEXT NOT NULL,
	boot   TEXT NOT NULL,
	at     TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS _shiplock_migration (
	migration TEXT PRIMARY KEY,
	checksum  TEXT NOT NULL,
	tool      TEXT NOT NULL,
	phase     TEXT NOT NULL,
	status    TEXT NOT NULL,
	statement INTEGER NOT NULL,
	release   TEXT NOT NULL,
	run       TEXT NOT NULL,
	epoch     INTEGER NOT NULL,
	at        INTEGER NOT NULL
);`

const writeRecord = `
INSERT INTO _shiplock_migration (migration, checksum, tool, phase, status, statement, release, run, epoch, at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (migration) DO UPDATE SET checksum = excluded.checksum, tool = excluded.tool, phase = excluded.phase,
	status = excluded.status, statement = excluded.statement, release = excluded.release, run = excluded.run,
	epoch = excluded.epoch, at = excluded.at`

// An owner is the row that stands for the lock. A pid of 0 means nobody holds it.
type owner struct {
	fence  ship.Fence
	holder string
	token  string // tells two locks of one process apart
	process
	at string
}

// Ledger returns our records, none without our table.
func (d *DB) Ledger(ctx context.Context) (records []ship.Record, err error) {
	err = d.read(ctx, func(conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, `SELECT migration, checksum, tool, phase, status, statement, release, run, epoch, at
			FROM _shiplock_migration ORDER BY at, rowid`)
		if err != nil {
			return unlessAbsent(err)
		}
		defer rows.Close()
		for rows.Next() {
			var r ship.Record
			var at int64
			if err := rows.Scan(&r.Migration, &r.Checksum, &r.Tool, &r.Phase, &r.Status, &r.Statement, &r.Release, &r.Run, &r.Epoch, &at); err != nil {
				return err
			}
			r.At = time.UnixMicro(at).UTC()
			records = append(records, r)
		}
		return rows.Err()
	})
	return records, err
}

// Epoch returns the epoch of the fence.
func (d *DB) Epoch(ctx context.Context) (epoch int64, err error) {
	err = d.read(ctx, func(conn *sql.Conn) error {
		o, err := readOwner(ctx, conn)
		epoch = o.fence.Epoch
		return err
	})
	return epoch, err
}

func readOwner(ctx context.Context, conn *sql.Conn) (o owner, err error) {
	err = conn.QueryRowContext(ctx, "SELECT epoch, run, holder, token, pid, start, boot, at FROM _shiplock_fence").
		Scan(&o.fence.Epoch, &o.fence.Run, &o.holder, &o.token, &o.pid, &o.start, &o.boot, &o.at)
	if errors.Is(err, sql.ErrNoRows) {
		return o, nil
	}
	return o, unlessAbsent(err)
}

func writeOwner(ctx context.Context, conn *sql.Conn, o owner) error {
	_, err := conn.ExecContext(ctx, `INSERT OR REPLACE INTO _shiplock_fence (id, epoch, run, holder, token, pid, start, boot, at)
		VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)`, o.fence.Epoch, o.fence.Run, o.holder, o.token, o.pid, o.start, o.boot, time.Now().UTC().Format(time.RFC3339))
	if err != nil {
		return fmt.Errorf("write owner of the migration lock: %w", err)
	}
	return nil
}

// unlessAbsent forgives what a database without our tables answers.
func unlessAbsent(err error) error {
	if errors.Is(tableError(err), database.ErrNoTable) {
		return nil
	}
	return err
}

// record writes and deletes lines of the ledger.
func record(ctx context.Context, conn *sql.Conn, w ship.Work) error {
	for _, r := range w.Record {
		if r.At.IsZero() {
			r.At = time.Now()
		}
		if _, err := conn.ExecContext(ctx, writeRecord, r.Migration, r.Checksum, r.Tool, string(r.Phase), string(r.Status),
			r.Statement, r.Release, r.Run, r.Epoch, r.At.UnixMicro()); err != nil {
			return fmt.Errorf("record migration %s: %w", r.Migration, err)
		}
	}
	for _, id := range w.Forget {
		if _, err := conn.ExecContext(ctx, "DELETE FROM _shiplock_migration WHERE migration = ?", id); err != nil {
			return fmt.Errorf("forget migration %s: %w", id, err)
		}
	}
	return settleTrash(ctx, conn, w)
}
