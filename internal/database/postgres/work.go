package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// Do carries out w. What a statement outside a transaction set for its session
// is kept until the end of its migration is recorded, as in one script.
func (l *lock) Do(ctx context.Context, w ship.Work) error {
	if err := database.CheckWork(w); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	conn, err := l.session(ctx)
	if err != nil {
		return err
	}
	err = database.Retry(ctx, l.db.lockRetry, l.db.lockTimeout, func(wait time.Duration) error {
		l.wait = wait
		if w.Atomic || len(w.Statements) == 0 {
			return l.atomic(ctx, conn, w)
		}
		return l.single(ctx, conn, w)
	}, l.db.retrying)
	if err == nil && database.Ends(w) {
		l.closeWorker(ctx)
	}
	return l.ended(ctx, conn, err)
}

// atomic runs statements and records in one transaction.
func (l *lock) atomic(ctx context.Context, conn *pgx.Conn, w ship.Work) error {
	return inTransaction(ctx, conn, l.wait, func() error {
		if err := l.check(ctx, conn); err != nil {
			return err
		}
		var begun, now int64
		if err := conn.QueryRow(ctx, "SELECT txid_current()").Scan(&begun); err != nil {
			return fmt.Errorf("identify transaction: %w", err)
		}
		if err := l.aside(ctx, conn, w); err != nil {
			return err
		}
		for i, statement := range w.Statements {
			if err := l.run(ctx, conn, statement); err != nil {
				return failure(err, statement, i)
			}
			if conn.PgConn().TxStatus() != 'T' {
				return endedItself(i+1, len(w.Statements))
			}
		}
		if len(w.Statements) > 0 {
			// A statement may have said COMMIT and BEGIN; and it may have taken a role.
			if _, err := conn.Exec(ctx, "RESET ROLE"); err != nil {
				return fmt.Errorf("reset role: %w", err)
			}
			if err := conn.QueryRow(ctx, "SELECT txid_current()").Scan(&now); err != nil {
				return fmt.Errorf("identify transaction: %w", err)
			}
			if now != begun {
				return endedItself(len(w.Statements), len(w.Statements))
			}
		}
		return record(ctx, conn, w)
	})
}

// single runs one statement outside a transaction and records it after.
func (l *lock) single(ctx context.Context, conn *pgx.Conn, w ship.Work) error {
	err := inTransaction(ctx, conn, l.db.lockTimeout, func() error { return l.check(ctx, conn) })
	if err != nil {
		return err
	}
	statement := w.Statements[0]
	if isConcurrent(statement) {
		err = l.concurrently(ctx, conn, statement)
	} else {
		err = l.limited(ctx, conn, statement)
	}
	if err != nil {
		return err
	}
	if conn.PgConn().TxStatus() != 'I' {
		return ship.Errorf(ship.MigrationFailed, "let the migration run in a transaction, or leave BEGIN out", "the statement opened a transaction of its own")
	}
	return inTransaction(ctx, conn, l.db.lockTimeout, func() error {
		if _, err := conn.Exec(ctx, "SET LOCAL ROLE NONE"); err != nil {
			return fmt.Errorf("reset role: %w", err)
		}
		if err := l.check(ctx, conn); err != nil {
			return err
		}
		return record(ctx, conn, w)
	})
}

// limited runs a statement that waits for a lock no longer than we allow.
func (l *lock) limited(ctx context.Context, conn *pgx.Conn, statement string) error {
	if _, err := conn.Exec(ctx, fmt.Sprintf("SET lock_timeout = %d", l.wait.Milliseconds())); err != nil {
		return fmt.Errorf("limit waiting for locks: %w", err)
	}
	return failure(l.run(ctx, conn, statement), statement, 0)
}

// run executes a statement and says who was in the way when it waited in vain.
func (l *lock) run(ctx context.Context, conn *pgx.Conn, statement string) error {
	stop := l.watch(ctx, conn.PgConn().PID())
	begun := l.db.gauge.before(ctx, conn)
	// Close reads every answer and keeps none: a migration may SELECT a lot.
	err := conn.PgConn().Exec(ctx, statement).Close()
	if err == nil {
		err = l.db.gauge.after(ctx, conn, begun, statement)
	}
	blocker := stop()
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	if hasCode(err, "40P01") && conn.PgConn().TxStatus() == 'E' { // its transaction is rolled back
		return ship.Errorf(ship.MigrationFailed, "look who writes to these tables in another order, then try again", "%w: %w", database.ErrBusy, err)
	}
	if hasCode(err, "55P03") {
		if blocker == "" {
			blocker = "another transaction"
		}
		return ship.Errorf(ship.MigrationFailed, "wait for that transaction or end it, then try again",
			"%w: waited %s for %s: %w", database.ErrBusy, l.wait, blocker, err)
	}
	return err
}

// failure says which statement an error is of. The statement itself is not
// shown, it may hold a password.
func failure(err error, statement string, index int) error {
	if err == nil {
		return nil
	}
	failed := &ship.StatementError{Index: index, Err: err}
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return failed
	}
	if at := int(pgErr.Position); at > 0 {
		// The position counts characters from 1.
		before := []rune(statement)
		before = before[:min(at-1, len(before))]
		failed.Line = 1 + strings.Count(string(before), "\n")
	}
	hint := pgErr.Hint
	if own := ship.HintOf(err); own != "" {
		hint = own
	}
	return ship.Errorf(ship.MigrationFailed, hint, "%w", failed)
}

func endedItself(number, total int) error {
	return ship.Errorf(ship.MigrationFailed, "take COMMIT and ROLLBACK out of the migration, or declare that it needs no transaction",
		"statement %d of %d ended the transaction it was to be part of; what came before it may have stayed", number, total)
}
