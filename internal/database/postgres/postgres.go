// Package postgres is the target database PostgreSQL, versions 11 to 18. It
// knows how to hold a migration lock that dead owners cannot keep, how to run
// statements without stopping the traffic of others, and how to copy, restore
// and describe a database. It knows nothing of migration tools or releases.
//
// It keeps no pool: every reading uses a connection of its own, so that
// nothing of ours is left in a database that is being renamed.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

const (
	reader             = "shiplock" // application_name of sessions that only read
	defaultLockTimeout = 5 * time.Second
	cleanupTimeout     = 10 * time.Second
)

// DB is a PostgreSQL database.
type DB struct {
	conn        *pgx.ConnConfig
	options     map[string]string // of the URL, for libpq
	key         []byte
	lockTimeout time.Duration
	lockRetry   time.Duration
	retrying    func(what string) // may be nil
	log         *slog.Logger
	waiting     func(what string)
	url         ship.Secret // as it was given
	gauge       *gauge      // measures what the lock does; nil but in a shadow
}

var _ database.Database = (*DB)(nil)

// New returns the database that cfg.URL names. It does not connect.
func New(cfg database.Config, d plugin.Deps) (*DB, error) {
	conn, options, err := parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	db := &DB{conn: conn, options: options, key: cfg.Key, lockTimeout: cfg.LockTimeout, lockRetry: cfg.LockRetry, retrying: cfg.Retrying, log: d.Log, waiting: cfg.Waiting, url: cfg.URL}
	if db.lockTimeout <= 0 {
		db.lockTimeout = defaultLockTimeout
	}
	if db.waiting == nil {
		db.waiting = func(string) {}
	}
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	return db, nil
}

// Name returns "host:port/database".
func (d *DB) Name() string {
	return fmt.Sprintf("%s:%d/%s", d.conn.Host, d.conn.Port, d.conn.Database)
}

// Ping connects and asks the server for an answer.
func (d *DB) Ping(ctx context.Context) error {
	return d.read(ctx, func(conn *pgx.Conn) error { return conn.Ping(ctx) })
}

// ServerVersion returns for example "PostgreSQL 15.18".
func (d *DB) ServerVersion(ctx context.Context) (version string, err error) {
	err = d.read(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SHOW server_version").Scan(&version)
	})
	// Distributions append their own version: "15.18 (Debian 15.18-1)".
	version, _, _ = strings.Cut(version, " ")
	return "PostgreSQL " + version, err
}

// Rows runs a query in a transaction that cannot write.
func (d *DB) Rows(ctx context.Context, query string, args ...any) (rows [][]string, err error) {
	err = d.read(ctx, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "BEGIN READ ONLY"); err != nil {
			return err
		}
		rows, err = textRows(ctx, conn, query, args)
		return err
	})
	return rows, err
}

// Size returns the size of the database's files in bytes.
func (d *DB) Size(ctx context.Context) (size int64, err error) {
	err = d.read(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&size)
	})
	return size, err
}

// ToolVars makes libpq, and so every tool built on it, announce run and epoch
// as its application_name, by which a later owner of the lock finds and ends
// its sessions, and give up waiting for a lock after lockTimeout. Zero means
// for ever, which a migration that builds an index CONCURRENTLY needs: its
// waiting for old transactions counts as waiting for a lock.
func (d *DB) ToolVars(f ship.Fence, lockTimeout time.Duration) map[string]string {
	options := fmt.Sprintf("-c lock_timeout=%dms", lockTimeout.Milliseconds())
	if own := d.options["options"]; own != "" {
		options = own + " " + options
	}
	return map[string]string{"PGAPPNAME": tag{f.Run, f.Epoch}.String(), "PGOPTIONS": options}
}

// Close does nothing: no connection outlives the call that opened it.
func (d *DB) Close() error { return nil }

// read calls do with a connection that is closed afterwards.
func (d *DB) read(ctx context.Context, do func(*pgx.Conn) error) error {
	conn, err := d.connect(ctx, reader, "")
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	return d.explain(do(conn))
}

// textRows returns a query's rows as text, up to a limit.
func textRows(ctx context.Context, conn *pgx.Conn, query string, args []any) ([][]string, error) {
	args = append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, args...)
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		return nil, tableError(err)
	}
	defer rows.Close()
	var out [][]string
	size := 0
	for rows.Next() {
		values := rows.RawValues()
		row := make([]string, len(values))
		for i, v := range values {
			row[i] = string(v)
			size += len(v)
		}
		if out = append(out, row); len(out) > database.MaxRows || size > database.MaxRowsBytes {
			return nil, database.ErrTooMuch
		}
	}
	return out, tableError(rows.Err())
}

// tableError marks an error about a table that does not exist.
func tableError(err error) error {
	if hasCode(err, "42P01") {
		return fmt.Errorf("%w: %w", database.ErrNoTable, err)
	}
	return err
}

// hasCode tells whether the server answered with one of the SQLSTATEs.
func hasCode(err error, codes ...string) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	for _, code := range codes {
		if pgErr.Code == code {
			return true
		}
	}
	return false
}

// cleanup returns a context for what must be done even when ctx has ended.
func cleanup(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
}

func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := cleanup(ctx)
	defer cancel()
	_ = conn.Close(ctx)
}
