package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// The advisory lock's key, "shiplock" in ASCII, and its two halves as pg_locks
// shows them. Advisory locks are per database.
const (
	lockKey     int64 = 0x736869706c6f636b
	lockKeyHigh int64 = lockKey >> 32
	lockKeyLow  int64 = lockKey & 0xffffffff
)

const (
	pollMin = 20 * time.Millisecond
	pollMax = 500 * time.Millisecond
	// nameWait is how long a holder may take between getting the lock and
	// writing its name into the fence.
	nameWait = 2 * time.Second
)

// A lock is the migration lock, held by one idle session. Work is done on a
// second one: a statement can then neither free the lock nor change its settings.
type lock struct {
	db    *DB
	fence ship.Fence

	mu     sync.Mutex
	conn   *pgx.Conn // holds the advisory lock
	worker *pgx.Conn // nil between migrations
	gone   error     // why the lock is lost, once it is

	wait time.Duration // for the lock of a statement, of the work under way
}

var _ database.Lock = (*lock)(nil)

// Lock takes the lock. It polls from here: a session that waits inside the
// server holds a snapshot, which CREATE INDEX CONCURRENTLY would wait for.
func (d *DB) Lock(ctx context.Context, f ship.Fence, holder string) (database.Lock, error) {
	conn, err := d.connect(ctx, tag{f.Run, f.Epoch}.String(), "")
	if err != nil {
		return nil, err
	}
	l := &lock{db: d, fence: f, conn: conn}
	if err := l.acquire(ctx, holder); err != nil {
		closeConn(ctx, conn)
		return nil, d.explain(err)
	}
	return l, nil
}

func (l *lock) acquire(ctx context.Context, holder string) error {
	if err := settle(ctx, l.conn); err != nil {
		return err
	}
	begun, pause := time.Now(), pollMin
	for {
		waiting, err := l.try(ctx, holder, time.Since(begun) > nameWait)
		if err != nil || waiting == "" {
			return err
		}
		l.db.waiting(waiting)
		select {
		case <-ctx.Done():
			return ship.Errorf(ship.Locked, "look at that session in pg_stat_activity, then try again",
				"the migration lock of %s was not free in time: %s has not ended: %w", l.db.Name(), waiting, ctx.Err())
		case <-time.After(pause):
		}
		pause = min(2*pause, pollMax)
	}
}

// try makes one attempt. It returns what it has to wait for, "" when the lock
// is held and the fence is raised.
func (l *lock) try(ctx context.Context, holder string, patient bool) (waiting string, err error) {
	epoch, err := readEpoch(ctx, l.conn)
	if err != nil {
		return "", fmt.Errorf("read fence: %w", err)
	}
	if epoch > l.fence.Epoch {
		return "", database.Fenced(l.fence, epoch)
	}
	older, err := endOlder(ctx, l.conn, l.fence.Epoch)
	if err != nil {
		return "", err
	}
	if len(older) > 0 {
		return "session " + older[0].String() + " of an earlier run", nil
	}
	var got bool
	if err := l.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", lockKey).Scan(&got); err != nil {
		return "", fmt.Errorf("take migration lock: %w", err)
	}
	if !got {
		return l.heldBy(ctx, patient)
	}
	err = inTransaction(ctx, l.conn, l.db.lockTimeout, func() error { return raise(ctx, l.conn, l.fence, holder) })
	if hasCode(err, "55P03") {
		_, err = l.conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", lockKey)
		return "a transaction that holds the fence", err
	}
	return "", err
}

// heldBy says who holds the lock: an error when that is somebody we may not
// end, else what is still going away.
func (l *lock) heldBy(ctx context.Context, patient bool) (waiting string, err error) {
	holders, err := sessions(ctx, l.conn, `SELECT l.pid, coalesce(a.application_name, '')
		FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.classid::bigint = $1 AND l.objid::bigint = $2
		AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`, lockKeyHigh, lockKeyLow)
	if err != nil {
		return "", fmt.Errorf("look for the holder of the migration lock: %w", err)
	}
	if len(holders) == 0 {
		return "a session that is ending", nil
	}
	t, ours := parseTag(holders[0].name)
	if ours && t.epoch < l.fence.Epoch {
		return "session " + holders[0].String(), nil
	}
	var name string
	var since time.Time
	err = unlessAbsent(l.conn.QueryRow(ctx, "SELECT holder, at FROM _shiplock.fence WHERE epoch = $1", t.epoch).Scan(&name, &since))
	if err != nil || name == "" {
		if ours && !patient {
			return "session " + holders[0].String(), nil // it writes its name next
		}
		return "", ship.Errorf(ship.Locked, "wait, or end that session", "session %s holds the migration lock of %s", holders[0], l.db.Name())
	}
	return "", ship.Errorf(ship.Locked, "wait until it has ended, or abort it",
		"%s holds the migration lock of %s with epoch %d of run %s since %s", name, l.db.Name(), t.epoch, t.run, since.UTC().Format(time.RFC3339))
}

// Rows runs a query in a transaction that holds the fence.
func (l *lock) Rows(ctx context.Context, query string, args ...any) (rows [][]string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	conn, err := l.session(ctx)
	if err != nil {
		return nil, err
	}
	err = inTransaction(ctx, conn, l.db.lockTimeout, func() error {
		if err := l.check(ctx, conn); err != nil {
			return err
		}
		rows, err = textRows(ctx, conn, query, args)
		return err
	})
	return rows, l.ended(ctx, conn, err)
}

// Release frees the lock and closes its sessions.
func (l *lock) Release(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeWorker(ctx)
	if l.conn == nil {
		return nil
	}
	ctx, cancel := cleanup(ctx)
	defer cancel()
	// The server frees the lock when the session ends, which takes it a
	// moment; whoever comes next should not have to wait for that.
	_, _ = l.conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", lockKey)
	closeConn(ctx, l.conn)
	l.conn = nil
	l.gone = ship.Errorf(ship.Internal, "", "the migration lock of %s was released", l.db.Name())
	return nil
}

// check fails when a higher epoch has raised the fence, and keeps everybody
// from raising it until the transaction ends.
func (l *lock) check(ctx context.Context, conn *pgx.Conn) error {
	var epoch int64
	if err := conn.QueryRow(ctx, "SELECT coalesce((SELECT epoch FROM _shiplock.fence WHERE id FOR SHARE), -1)").Scan(&epoch); err != nil {
		return fmt.Errorf("read fence: %w", err)
	}
	if epoch != l.fence.Epoch {
		return database.Fenced(l.fence, epoch)
	}
	return nil
}

// session returns the session that works, when the lock is still ours. What
// of earlier epochs has come back meanwhile is ended first.
func (l *lock) session(ctx context.Context) (*pgx.Conn, error) {
	if l.gone != nil {
		return nil, l.gone
	}
	if _, err := endOlder(ctx, l.conn, l.fence.Epoch); err != nil {
		return nil, l.lost(ctx, err)
	}
	if l.worker != nil {
		return l.worker, nil
	}
	conn, err := l.db.connect(ctx, tag{l.fence.Run, l.fence.Epoch}.String(), "")
	if err != nil {
		return nil, err
	}
	if err := settle(ctx, conn); err != nil {
		closeConn(ctx, conn)
		return nil, l.db.explain(err)
	}
	l.worker = conn
	return conn, nil
}

func (l *lock) closeWorker(ctx context.Context) {
	if l.worker != nil {
		closeConn(ctx, l.worker)
		l.worker = nil
	}
}

// ended judges an error of the working session: one that was taken from us is
// told from one whose statement failed.
func (l *lock) ended(ctx context.Context, conn *pgx.Conn, err error) error {
	if err == nil {
		return nil
	}
	broken := conn.IsClosed()
	l.closeWorker(ctx)
	if broken || hasCode(err, "57P01", "57P02") {
		return l.lost(ctx, err)
	}
	return l.db.explain(err)
}

// lost explains why a session of the lock is gone. A lock is never taken
// again silently: what happened in between is unknown.
func (l *lock) lost(ctx context.Context, cause error) error {
	if !l.conn.IsClosed() && ctx.Err() != nil {
		return l.db.explain(cause)
	}
	clean, cancel := cleanup(ctx)
	defer cancel()
	if l.conn.Ping(clean) == nil && !hasCode(cause, "57P01", "57P02") {
		return l.db.explain(cause)
	}
	epoch, err := l.db.Epoch(clean)
	switch {
	case err != nil:
		l.gone = ship.Errorf(ship.Unreachable, "see the server's log", "the session with the migration lock was lost: %w; now: %w", cause, err)
	case epoch > l.fence.Epoch:
		l.gone = database.Fenced(l.fence, epoch)
	default:
		l.gone = ship.Errorf(ship.Unreachable, "look at what was done, then begin again",
			"the session with the migration lock of %s was ended: %w", l.db.Name(), cause)
	}
	return l.gone
}
