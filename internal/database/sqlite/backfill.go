package sqlite

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

var (
	_ database.Backfiller = (*DB)(nil)
	_ database.Filler     = (*lock)(nil)
)

const backfillSchema = `
CREATE TABLE IF NOT EXISTS _shiplock_backfill (
	name     TEXT PRIMARY KEY,
	status   TEXT NOT NULL,
	progress TEXT NOT NULL,
	at       TEXT NOT NULL
);`

// Progress returns what is known of backfills.
func (d *DB) Progress(ctx context.Context) (all []database.Progress, err error) {
	err = d.read(ctx, func(conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, "SELECT progress FROM _shiplock_backfill ORDER BY name")
		if err != nil {
			return unlessAbsent(err)
		}
		defer rows.Close()
		for rows.Next() {
			var text string
			var p database.Progress
			if err := rows.Scan(&text); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(text), &p); err != nil {
				return fmt.Errorf("read the progress of backfills: %w", err)
			}
			all = append(all, p)
		}
		return rows.Err()
	})
	return all, err
}

// Fill does a page of a backfill. While it lasts nobody else can write: the
// caller keeps batches short and leaves pauses between them.
func (l *lock) Fill(ctx context.Context, b database.Batch) (done database.Filled, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	conn, err := l.session(ctx)
	if err != nil {
		return done, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, l.db.lockTimeout+b.Longest, database.ErrTooLong)
	defer cancel()
	err = inTransaction(ctx, conn, func() error {
		begun := time.Now() // now we have the only place there is
		defer func() { done.Took = time.Since(begun) }()
		if err := l.check(ctx, conn); err != nil {
			return err
		}
		done, err = l.fill(ctx, conn, b)
		return err
	})
	switch {
	case err != nil && errors.Is(context.Cause(ctx), database.ErrTooLong):
		err = fmt.Errorf("%w: %w", database.ErrTooLong, err)
	case hasCode(err, codeBusy, codeLocked):
		err = fmt.Errorf("%w: %w", database.ErrBusy, err)
	}
	return done, l.ended(ctx, err)
}

func (l *lock) fill(ctx context.Context, conn *sql.Conn, b database.Batch) (done database.Filled, err error) {
	p, err := readProgress(ctx, conn, b.Name)
	if err != nil {
		return done, err
	}
	if p, err = database.BeginFill(p, b, l.fence); err != nil {
		return done, err
	}
	if p.Last == nil {
		last, err := boundOf(ctx, conn, b.SQL.Last, nil)
		if err != nil {
			return done, fmt.Errorf("look for the last row: %w", err)
		}
		if last == nil {
			return database.Filled{Progress: p, End: true}, nil
		}
		p.Last = texts(last)
	}
	bound, do := b.SQL.FirstBound, b.SQL.First
	if p.Cursor != nil {
		bound, do = b.SQL.Bound, b.SQL.Next
	}
	after, err := keyOf(p.Cursor)
	if err != nil {
		return done, err
	}
	last, err := keyOf(p.Last)
	if err != nil {
		return done, err
	}
	page, err := boundOf(ctx, conn, bound, slices.Concat(after, last, []any{b.Limit}))
	if err != nil {
		return done, fmt.Errorf("look for the next page: %w", err)
	}
	done.Progress, done.End = p, page == nil
	if done.End {
		return done, nil
	}
	changed, err := conn.ExecContext(ctx, do, slices.Concat(after, page[1:])...)
	if err != nil {
		return done, l.failure(err, 0)
	}
	if done.Rows, err = changed.RowsAffected(); err != nil {
		return done, fmt.Errorf("count the rows of a batch: %w", err)
	}
	seen, ok := page[0].(int64)
	if !ok {
		return done, fmt.Errorf("size of the page: %v is no number", page[0])
	}
	done.Seen = seen
	done.Progress = database.Advance(p, b, texts(page[1:]), done)
	return done, writeProgress(ctx, conn, done.Progress)
}

// boundOf returns the one row of a query with the types it has, or nil.
func boundOf(ctx context.Context, conn *sql.Conn, query string, args []any) ([]any, error) {
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil || !rows.Next() {
		return nil, errors.Join(err, rows.Err())
	}
	row, pointers := make([]any, len(columns)), make([]any, len(columns))
	for i := range row {
		pointers[i] = &row[i]
	}
	return row, rows.Scan(pointers...)
}

// texts and keyOf keep the type of each part of a key, since SQLite compares
// 1 and '1' by it.
func texts(key []any) []string {
	out := make([]string, len(key))
	for i, v := range key {
		switch v := v.(type) {
		case int64:
			out[i] = "i:" + strconv.FormatInt(v, 10)
		case float64:
			out[i] = "f:" + strconv.FormatFloat(v, 'g', -1, 64)
		case []byte:
			out[i] = "b:" + base64.StdEncoding.EncodeToString(v)
		case string:
			out[i] = "t:" + v
		default:
			out[i] = "?:" + fmt.Sprint(v)
		}
	}
	return out
}

func keyOf(key []string) ([]any, error) {
	out := make([]any, len(key))
	for i, text := range key {
		kind, text, _ := strings.Cut(text, ":")
		var err error
		switch kind {
		case "i":
			out[i], err = strconv.ParseInt(text, 10, 64)
		case "f":
			out[i], err = strconv.ParseFloat(text, 64)
		case "b":
			out[i], err = base64.StdEncoding.DecodeString(text)
		case "t":
			out[i] = text
		default:
			err = errors.New("its type cannot be a key")
		}
		if err != nil {
			return nil, fmt.Errorf("the cursor %q: %w", text, err)
		}
	}
	return out, nil
}

// Keep writes progress and records.
func (l *lock) Keep(ctx context.Context, p database.Progress, records ...ship.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	conn, err := l.session(ctx)
	if err != nil {
		return err
	}
	return l.ended(ctx, inTransaction(ctx, conn, func() error {
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
	}))
}

func readProgress(ctx context.Context, conn *sql.Conn, name string) (p database.Progress, err error) {
	if _, err := conn.ExecContext(ctx, backfillSchema); err != nil {
		return p, fmt.Errorf("create the table of backfills: %w", err)
	}
	var text string
	err = conn.QueryRowContext(ctx, "SELECT progress FROM _shiplock_backfill WHERE name = ?", name).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &p)
	}
	if err != nil {
		return p, fmt.Errorf("read the progress of %s: %w", name, err)
	}
	return p, nil
}

func writeProgress(ctx context.Context, conn *sql.Conn, p database.Progress) error {
	p.At = time.Now().UTC()
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("keep the progress of %s: %w", p.Name, err)
	}
	if _, err := conn.ExecContext(ctx, "INSERT OR REPLACE INTO _shiplock_backfill (name, status, progress, at) VALUES (?, ?, ?, ?)",
		p.Name, p.Status, string(text), p.At.Format(time.RFC3339)); err != nil {
		return fmt.Errorf("keep the progress of %s: %w", p.Name, err)
	}
	return nil
}

// Strain says nothing: SQLite has no replicas, no autovacuum of this kind, and
// nobody can see who waits for the one place to write.
func (d *DB) Strain(context.Context, string) (database.Strain, error) { return database.Strain{}, nil }

// Estimate counts, which keeps no writer waiting.
func (d *DB) Estimate(ctx context.Context, table string) (rows int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	err = d.read(ctx, func(conn *sql.Conn) error {
		return conn.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&rows)
	})
	return rows, err
}
