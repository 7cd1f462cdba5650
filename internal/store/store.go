// Package store keeps our own state: releases, runs, their journals and
// events. It knows how to make each change durable and all-or-nothing; it
// decides nothing about what a run does next.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver

	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/ship"
)

//go:embed migrations/*.sql
var migrations embed.FS

// A Store is our state in one SQLite file. While it is open no other process
// can open it, so everything an earlier owner left under way is known to have
// no owner any more.
type Store struct {
	db    *sql.DB
	lock  *os.File
	wake  wakers
	moved wakers // of those whose concern is not every event
}

// Open opens the store in dir, creating it when it is not there. It fails with
// kind Locked while another process has it open.
func Open(ctx context.Context, dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	db, err := openDB(ctx, filepath.Join(dir, "shiplock.db"))
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return &Store{db: db, lock: lock}, nil
}

// Close closes the store and lets another process open it.
func (s *Store) Close() error {
	return errors.Join(s.db.Close(), s.lock.Close())
}

// lockDir takes the lock that says who owns dir. The kernel frees it when the
// owner dies, however it dies.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		owner := make([]byte, 32)
		n, _ := f.Read(owner)
		return nil, ship.Errorf(ship.Locked, "use the server that runs, or stop it first",
			"the state in %s is in use by process %s", dir, string(owner[:n]))
	}
	if err := errors.Join(f.Truncate(0), writePID(f)); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open store: %w", err)
	}
	return f, nil
}

func writePID(f *os.File) error {
	_, err := fmt.Fprintf(f, "%d", os.Getpid())
	return err
}

func openDB(ctx context.Context, path string) (*sql.DB, error) {
	q := url.Values{"_txlock": {"immediate"}}
	for _, p := range []string{"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"} {
		q.Add("_pragma", p)
	}
	db, err := sql.Open("sqlite", "file:"+path+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	// One connection: SQLite has one writer, and a queue here is fairer than
	// busy errors there.
	db.SetMaxOpenConns(1)
	if err := migrate(ctx, db); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return db, os.Chmod(path, 0o600)
}

func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > want {
		return ship.Errorf(ship.Invalid, "use the newer shiplock",
			"it was written by a newer shiplock (schema %d, this one knows %d)", have, want)
	}
	_, err = p.Up(ctx)
	return err
}

// inTx runs f in a transaction, which is rolled back when f fails.
func (s *Store) inTx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := f(tx); err != nil {
		return err
	}
	if err := failpoint.Hit("store commit"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// exec carries out one statement, which is durable when it returns. What it
// records is named for the tests.
func (s *Store) exec(ctx context.Context, what, text string, args ...any) error {
	if err := failpoint.Hit("store " + what); err != nil {
		return err
	}
	_, err := s.db.ExecContext(ctx, text, args...)
	return err
}

const timeFormat = "2006-01-02T15:04:05.000000000Z"

func formatTime(t time.Time) string { return t.UTC().Format(timeFormat) }

func parseTime(s string) time.Time {
	t, _ := time.Parse(timeFormat, s)
	return t
}
