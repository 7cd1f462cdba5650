package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// Do carries out w. What a statement outside a transaction set for its
// connection is kept until the end of its migration is recorded.
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
	// How long a connection waits is set when it is opened.
	err = database.Retry(ctx, l.db.lockRetry, l.db.lockTimeout, func(time.Duration) error {
		if w.Atomic || len(w.Statements) == 0 {
			return l.db.explain(l.atomic(ctx, conn, w))
		}
		return l.db.explain(l.single(ctx, conn, w))
	}, l.db.retrying)
	if err == nil && database.Ends(w) {
		l.close()
	}
	return l.ended(ctx, err)
}

// atomic runs statements and records in one transaction.
func (l *lock) atomic(ctx context.Context, conn *sql.Conn, w ship.Work) error {
	return inTransaction(ctx, conn, func() error {
		if err := l.check(ctx, conn); err != nil {
			return err
		}
		if err := l.aside(ctx, conn, w); err != nil {
			return err
		}
		if err := l.script(ctx, conn, w.Statements); err != nil {
			return err
		}
		return record(ctx, conn, w)
	})
}

// script runs the statements between two marks: when one of them ended the
// transaction, the first mark is gone.
func (l *lock) script(ctx context.Context, conn *sql.Conn, statements []string) error {
	if len(statements) == 0 {
		return nil
	}
	if _, err := conn.ExecContext(ctx, "SAVEPOINT shiplock"); err != nil {
		return fmt.Errorf("mark: %w", err)
	}
	before, err := schemaVersion(ctx, conn)
	if err != nil {
		return err
	}
	for i, statement := range statements {
		if err := l.db.gauge.run(ctx, conn, statement); err != nil {
			return l.failure(err, i)
		}
	}
	after, err := schemaVersion(ctx, conn)
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "RELEASE shiplock"); err != nil {
		return ship.Errorf(ship.MigrationFailed, "take COMMIT and ROLLBACK out of the migration, or declare that it needs no transaction",
			"one of the %d statements ended the transaction it was to be part of; what came before it may have stayed", len(statements))
	}
	if after == before {
		return nil
	}
	return l.checkForeignKeys(ctx, conn)
}

// single runs one statement outside a transaction and records it after.
func (l *lock) single(ctx context.Context, conn *sql.Conn, w ship.Work) error {
	if err := inTransaction(ctx, conn, func() error { return l.check(ctx, conn) }); err != nil {
		return err
	}
	if err := l.db.gauge.run(ctx, conn, w.Statements[0]); err != nil {
		return l.failure(err, 0)
	}
	return inTransaction(ctx, conn, func() error {
		if err := l.check(ctx, conn); err != nil {
			return err
		}
		return record(ctx, conn, w)
	})
}

// failure says which statement an error is of.
func (l *lock) failure(err error, index int) error {
	hint := ""
	if hasCode(err, codeBusy, codeLocked) {
		err = l.db.explain(err)
		hint = ship.HintOf(err)
	}
	return ship.Errorf(ship.MigrationFailed, hint, "%w", &ship.StatementError{Index: index, Err: err})
}

func schemaVersion(ctx context.Context, conn *sql.Conn) (n int64, err error) {
	if err := conn.QueryRowContext(ctx, "PRAGMA schema_version").Scan(&n); err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	return n, nil
}

// checkForeignKeys fails when the transaction under way leaves rows that refer
// to nothing, other than those that were there before.
func (l *lock) checkForeignKeys(ctx context.Context, conn *sql.Conn) error {
	now, broken := orphans(ctx, conn)
	if broken == nil && len(now) == 0 {
		return nil
	}
	var then map[[2]string]int
	// Another connection still sees what is committed.
	err := l.db.read(ctx, func(conn *sql.Conn) (err error) {
		then, err = orphans(ctx, conn)
		return err
	})
	switch {
	case broken != nil && err != nil && ctx.Err() == nil:
		// A key that refers to no unique columns cannot be checked at all; it was there before.
		l.db.log.WarnContext(ctx, "foreign keys cannot be checked", "database", l.db.path, "error", broken)
		return nil
	case broken != nil:
		return broken
	case err != nil:
		return fmt.Errorf("compare foreign keys: %w", err)
	}
	for key, n := range now {
		if more := n - then[key]; more > 0 {
			return ship.Errorf(ship.MigrationFailed, "see PRAGMA foreign_key_check", "the migration leaves %d rows of %s that refer to missing rows of %s", more, key[0], key[1])
		}
	}
	return nil
}

// orphans counts the rows that break a foreign key, by table and parent.
func orphans(ctx context.Context, conn *sql.Conn) (map[[2]string]int, error) {
	rows, err := conn.QueryContext(ctx, `SELECT "table", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2`)
	if err != nil {
		return nil, fmt.Errorf("check foreign keys: %w", err)
	}
	defer rows.Close()
	out := map[[2]string]int{}
	for rows.Next() {
		var key [2]string
		var n int
		if err := rows.Scan(&key[0], &key[1], &n); err != nil {
			return nil, fmt.Errorf("check foreign keys: %w", err)
		}
		out[key] = n
	}
	return out, rows.Err()
}
