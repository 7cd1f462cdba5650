package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/audit"
)

// AddAudit appends an entry to the audit log and returns it with its number,
// its time and its place in the chain.
func (s *Store) AddAudit(ctx context.Context, e audit.Entry) (audit.Entry, error) {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		var seq int64
		var prev string
		err := tx.QueryRowContext(ctx, `SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1`).Scan(&seq, &prev)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		e.Seq, e.Prev, e.At = seq+1, prev, time.Now().UTC()
		e.Hash = e.Sum()
		_, err = tx.ExecContext(ctx, `INSERT INTO audit (seq, at, actor, says, action, app, env, detail, outcome, prev, hash) VALUES (?,?,?,?,?,?,?,?,?,?,?)`,
			e.Seq, formatTime(e.At), e.Actor, e.Says, e.Action, e.App, e.Env, e.Detail, e.Outcome, e.Prev, e.Hash)
		return err
	})
	if err != nil {
		return e, fmt.Errorf("write the audit log: %w", err)
	}
	return e, nil
}

// Audit returns the entries after a number, oldest first, and at most limit of
// them.
func (s *Store) Audit(ctx context.Context, after int64, limit int) ([]audit.Entry, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT seq, at, actor, says, action, app, env, detail, outcome, prev, hash FROM audit WHERE seq > ? ORDER BY seq LIMIT ?`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	defer rows.Close()
	var all []audit.Entry
	for rows.Next() {
		var e audit.Entry
		var at string
		if err := rows.Scan(&e.Seq, &at, &e.Actor, &e.Says, &e.Action, &e.App, &e.Env, &e.Detail, &e.Outcome, &e.Prev, &e.Hash); err != nil {
			return nil, fmt.Errorf("read the audit log: %w", err)
		}
		e.At = parseTime(at)
		all = append(all, e)
	}
	return all, rows.Err()
}
