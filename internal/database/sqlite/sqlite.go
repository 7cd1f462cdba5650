// Package sqlite is the target database SQLite, through a driver without C.
// It knows how to hold a migration lock that a dead process cannot keep, how
// to change a schema in short transactions, and how to copy, restore and
// describe a file. It never changes the journal mode the application chose.
//
// The lock is a row: a file has no sessions that could be ended from outside.
// A tool that a dead owner started may therefore still be at work; what keeps
// it harmless is that the engine waits for its commands, and that a change of
// ours is one transaction.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

const (
	driver             = "sqlite"
	defaultLockTimeout = 5 * time.Second
	cleanupTimeout     = 10 * time.Second
)

// DB is an SQLite database file. The file need not exist: until the first
// lock, reading finds an empty database and creates nothing.
type DB struct {
	path        string
	key         []byte
	lockTimeout time.Duration
	lockRetry   time.Duration
	retrying    func(what string) // may be nil
	tempDir     string            // for plain copies; "" is the system's
	log         *slog.Logger
	waiting     func(what string)
	expected    bool        // it was there before
	url         ship.Secret // as it was given
	gauge       *gauge      // measures what the lock does; nil but in a shadow
}

var (
	_ database.Database = (*DB)(nil)
	_ database.Creator  = (*DB)(nil)
)

// NeverCreate implements [database.Creator].
func (d *DB) NeverCreate() { d.expected = true }

// present fails when the file was there before and is gone. To read an empty
// database in its place, or to make one, would be to lose everything in it.
func (d *DB) present() error {
	if _, err := os.Stat(d.path); d.expected && errors.Is(err, os.ErrNotExist) {
		return ship.Errorf(ship.Unreachable, "bring it back; where a new database is wanted, make an empty file of that name", "the database %s is gone", d.path)
	}
	return nil
}

// New returns the database that cfg.URL names. It opens no file.
func New(cfg database.Config, d plugin.Deps) (*DB, error) {
	path, err := parse(cfg.URL.Reveal(), cfg.Dir)
	if err != nil {
		return nil, err
	}
	db := &DB{path: path, key: cfg.Key, lockTimeout: cfg.LockTimeout, lockRetry: cfg.LockRetry, retrying: cfg.Retrying, tempDir: d.DataDir, log: d.Log, waiting: cfg.Waiting, url: cfg.URL}
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

// parse returns the path a URL means: sqlite:///x is relative to dir and
// sqlite:////x is absolute, as SQLAlchemy and Django's helpers have it.
func parse(text, dir string) (string, error) {
	const hint = "write sqlite:///relative/path or sqlite:////absolute/path"
	text = strings.TrimSpace(text)
	path := text
	if scheme, rest, ok := strings.Cut(text, ":"); ok && !strings.Contains(scheme, "/") {
		scheme, _, _ = strings.Cut(scheme, "+")
		rest, _, _ = strings.Cut(rest, "?") // parameters are the application's
		var err error
		if path, err = url.PathUnescape(rest); err != nil {
			return "", ship.Errorf(ship.Invalid, hint, "the database URL cannot be parsed")
		}
		switch scheme {
		case "sqlite", "sqlite3":
			if after, ok := strings.CutPrefix(path, "//"); ok {
				path = strings.TrimPrefix(after, "/")
			}
		case "file":
			path = strings.TrimPrefix(path, "//")
		default:
			return "", ship.Errorf(ship.Invalid, hint, "the database URL does not begin with sqlite:")
		}
	}
	if path == "" || strings.Contains(path, ":memory:") {
		return "", ship.Errorf(ship.Invalid, hint, "the database URL names no file; a database in memory cannot be deployed to")
	}
	if !filepath.IsAbs(path) && dir == "" {
		return "", ship.Errorf(ship.Invalid, "write sqlite:////absolute/path, with four slashes",
			"the database URL names a relative path, which would be another file for every release and for us")
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return filepath.Abs(path)
}

// Name returns the path of the file.
func (d *DB) Name() string { return d.path }

// Ping fails when the file cannot be read as a database, or could not be created.
func (d *DB) Ping(ctx context.Context) error {
	if info, err := os.Stat(filepath.Dir(d.path)); err != nil || !info.IsDir() {
		return ship.Errorf(ship.Unreachable, "create the folder, or correct the URL: three slashes are relative, four are absolute",
			"the folder of the database %s does not exist", d.path)
	}
	return d.read(ctx, func(conn *sql.Conn) error {
		var n int
		return conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n)
	})
}

// ServerVersion returns the version of the library, for example "SQLite
// 3.54.1". The application brings its own, which may be older.
func (d *DB) ServerVersion(ctx context.Context) (version string, err error) {
	memory, err := sql.Open(driver, ":memory:")
	if err != nil {
		return "", fmt.Errorf("open SQLite: %w", err)
	}
	defer memory.Close()
	err = memory.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version)
	return "SQLite " + version, err
}

// Rows runs a query on a connection that cannot write.
func (d *DB) Rows(ctx context.Context, query string, args ...any) (rows [][]string, err error) {
	if _, err := os.Stat(d.path); !d.expected && errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s does not exist", database.ErrNoTable, d.path)
	}
	err = d.read(ctx, func(conn *sql.Conn) error {
		rows, err = textRows(ctx, conn, query, args)
		return err
	})
	return rows, err
}

// Size returns the size of the file and its write-ahead log in bytes.
func (d *DB) Size(context.Context) (size int64, err error) {
	for _, name := range []string{d.path, d.path + "-wal"} {
		info, err := os.Stat(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("measure database: %w", err)
		}
		size += info.Size()
	}
	return size, nil
}

// ToolVars returns nothing: SQLite reads no variables.
func (d *DB) ToolVars(ship.Fence, time.Duration) map[string]string { return nil }

// Close does nothing: no connection outlives the call that opened it.
func (d *DB) Close() error { return nil }

// read calls do with a connection that cannot write, or with an empty database
// when there is no file.
func (d *DB) read(ctx context.Context, do func(*sql.Conn) error) error {
	conn, done, err := d.open(ctx, "rw", d.lockTimeout, "query_only(1)")
	if err != nil {
		return err
	}
	defer done()
	return d.explain(do(conn))
}

// open returns a connection to the file and what closes it. Mode "rw" never
// creates a file, "rwc" does.
func (d *DB) open(ctx context.Context, mode string, busy time.Duration, pragmas ...string) (*sql.Conn, func(), error) {
	if err := d.present(); err != nil {
		return nil, nil, err
	}
	if d.expected && mode == "rwc" {
		mode = "rw"
	}
	if _, err := os.Stat(d.path); mode == "rw" && !d.expected && errors.Is(err, os.ErrNotExist) {
		return connect(ctx, ":memory:")
	}
	pragmas = append([]string{fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds())}, pragmas...)
	conn, done, err := connect(ctx, dsn(d.path, mode, pragmas...))
	return conn, done, d.explain(err)
}

// create makes the file, unless it exists, so that whoever owns its folder may
// use it: the application need not run as our user.
func (d *DB) create() error {
	if err := d.present(); err != nil || d.expected {
		return err
	}
	file, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return ship.Errorf(ship.Unreachable, "give our user the right to write in the folder", "the database %s cannot be created: %w", d.path, err)
	}
	defer file.Close()
	info, err := os.Stat(filepath.Dir(d.path))
	if err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		if err := file.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return fmt.Errorf("create database: %w", err)
		}
	}
	return nil
}

func connect(ctx context.Context, name string) (*sql.Conn, func(), error) {
	pool, err := sql.Open(driver, name)
	if err != nil {
		return nil, nil, fmt.Errorf("open SQLite: %w", err)
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		_ = pool.Close()
		return nil, nil, fmt.Errorf("open SQLite: %w", err)
	}
	return conn, func() { _ = conn.Close(); _ = pool.Close() }, nil
}

// dsn names a file to the driver; the path may hold what means something in a URI.
func dsn(path, mode string, pragmas ...string) string {
	query := url.Values{"mode": {mode}, "_pragma": pragmas}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
}

// textRows returns a query's rows as text, up to a limit.
func textRows(ctx context.Context, conn *sql.Conn, query string, args []any) ([][]string, error) {
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, tableError(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out [][]string
	size := 0
	for rows.Next() {
		values, pointers := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := rows.Scan(pointers...); err != nil {
			return nil, err
		}
		row := make([]string, len(columns))
		for i, v := range values {
			row[i] = text(v)
			size += len(row[i])
		}
		if out = append(out, row); len(out) > database.MaxRows || size > database.MaxRowsBytes {
			return nil, database.ErrTooMuch
		}
	}
	return out, tableError(rows.Err())
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []byte:
		return string(v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case bool: // of a column declared BOOLEAN; SQLite itself has numbers only
		if v {
			return "1"
		}
		return "0"
	default:
		return fmt.Sprint(v)
	}
}

// RestoreNeedsNobody implements [database.Exclusive]: in WAL mode a process
// that has the file open would go on writing to the one that was replaced.
func (*DB) RestoreNeedsNobody() bool { return true }
