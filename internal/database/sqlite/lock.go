package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

const (
	pollMin = 20 * time.Millisecond
	pollMax = 500 * time.Millisecond
)

// A lock is the migration lock: a row that names this process. Between two
// calls it keeps nothing of SQLite locked.
type lock struct {
	db    *DB
	fence ship.Fence
	token string

	mu       sync.Mutex
	conn     *sql.Conn // nil between migrations
	done     func()    // closes conn
	released bool
}

var _ database.Lock = (*lock)(nil)

// Lock writes the row. An owner of a lower epoch is not ended, but can change
// nothing from here on: every change of it checks the row in its transaction.
func (d *DB) Lock(ctx context.Context, f ship.Fence, holder string) (database.Lock, error) {
	l := &lock{db: d, fence: f, token: rand.Text()}
	if err := d.create(); err != nil {
		return nil, err
	}
	conn, err := l.session(ctx)
	if err != nil {
		return nil, err
	}
	defer l.close()
	for pause := pollMin; ; pause = min(2*pause, pollMax) {
		// Looking first needs no lock: a holder at work must not make us wait.
		err := l.refuse(ctx, conn)
		if err == nil {
			err = inTransaction(ctx, conn, func() error { return l.take(ctx, conn, holder) })
		}
		if err == nil {
			return l, nil
		}
		if !hasCode(err, codeBusy, codeLocked) {
			return nil, d.explain(err)
		}
		d.waiting("a transaction that somebody has open in " + d.path)
		select {
		case <-ctx.Done():
			return nil, ship.Errorf(ship.Locked, "end the transaction of the application, then try again",
				"the migration lock of %s was not free in time: %w: %w", d.path, ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}

// refuse fails when the lock is another's who may keep it.
func (l *lock) refuse(ctx context.Context, conn *sql.Conn) error {
	now, err := readOwner(ctx, conn)
	switch {
	case err != nil:
		return fmt.Errorf("read owner of the migration lock: %w", err)
	case now.fence.Epoch > l.fence.Epoch:
		return database.Fenced(l.fence, now.fence.Epoch)
	case now.fence.Epoch == l.fence.Epoch && now.alive():
		return ship.Errorf(ship.Locked, "wait until it has ended, or abort it", "%s holds the migration lock of %s with epoch %d of run %s since %s (pid %d)",
			now.holder, l.db.path, now.fence.Epoch, now.fence.Run, now.at, now.pid)
	}
	return nil
}

func (l *lock) take(ctx context.Context, conn *sql.Conn, holder string) error {
	if _, err := conn.ExecContext(ctx, ledgerSchema); err != nil {
		return fmt.Errorf("create ledger: %w", err)
	}
	if err := l.refuse(ctx, conn); err != nil {
		return err
	}
	return writeOwner(ctx, conn, owner{fence: l.fence, holder: holder, token: l.token, process: self()})
}

// Rows runs a query in a transaction that holds the fence.
func (l *lock) Rows(ctx context.Context, query string, args ...any) (rows [][]string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	conn, err := l.session(ctx)
	if err != nil {
		return nil, err
	}
	err = inTransaction(ctx, conn, func() error {
		if err := l.check(ctx, conn); err != nil {
			return err
		}
		rows, err = textRows(ctx, conn, query, args)
		return err
	})
	return rows, l.ended(ctx, err)
}

// Release frees the lock.
func (l *lock) Release(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.released {
		return nil
	}
	ctx, cancel := cleanup(ctx)
	defer cancel()
	conn, err := l.session(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	l.released = true
	// Only our own row: a newer owner's stays as it is.
	_, err = conn.ExecContext(ctx, "UPDATE _shiplock_fence SET pid = 0 WHERE token = ?", l.token)
	if err = unlessAbsent(err); err != nil {
		// The row names a process that ends some day, which frees it too.
		return fmt.Errorf("release migration lock: %w", l.db.explain(err))
	}
	return nil
}

// check fails when the lock is another's. Within a transaction that may write
// nobody can take it before that ends.
func (l *lock) check(ctx context.Context, conn *sql.Conn) error {
	now, err := readOwner(ctx, conn)
	if err != nil {
		return fmt.Errorf("read fence: %w", err)
	}
	if now.fence.Epoch != l.fence.Epoch || now.token != l.token {
		return database.Fenced(l.fence, now.fence.Epoch)
	}
	return nil
}

// session returns the connection that works. Foreign keys are not enforced on
// it, as rebuilding a table needs it; what a change breaks is found after it.
func (l *lock) session(ctx context.Context) (*sql.Conn, error) {
	if l.released {
		return nil, ship.Errorf(ship.Internal, "", "the migration lock of %s was released", l.db.path)
	}
	if l.conn != nil {
		return l.conn, nil
	}
	conn, done, err := l.db.open(ctx, "rwc", l.db.lockTimeout, "foreign_keys(0)")
	if err != nil {
		return nil, err
	}
	l.conn, l.done = conn, done
	return conn, nil
}

func (l *lock) close() {
	if l.conn != nil {
		l.done()
		l.conn = nil
	}
}

// ended gives up the connection after an error and explains it.
func (l *lock) ended(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	l.close()
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return l.db.explain(err)
}

// inTransaction calls do within a transaction that may write from its start:
// one that reads first and writes later may be refused in between.
func inTransaction(ctx context.Context, conn *sql.Conn, do func() error) (err error) {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if err != nil {
			clean, cancel := cleanup(ctx)
			defer cancel()
			_, _ = conn.ExecContext(clean, "ROLLBACK")
		}
	}()
	if err := do(); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}
