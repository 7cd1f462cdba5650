package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

const selectLock = `SELECT app, env, reason, actor, at, until FROM locks WHERE unlocked_at = ''`

// Lock locks an environment. Who asks for the lock there is, for the same
// reason, gets it; somebody else's stays, and the failure has kind Locked.
func (s *Store) Lock(ctx context.Context, l ship.Lock) (ship.Lock, error) {
	env := l.Environment
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		held, err := scanLock(tx.QueryRowContext(ctx, selectLock+` AND app = ? AND env = ?`, env.App, env.Name))
		if err != nil {
			return err
		}
		if held != nil && (held.Until.IsZero() || l.At.Before(held.Until)) {
			if held.By == l.By && held.Reason == l.Reason {
				l = *held
				return nil
			}
			return ship.Errorf(ship.Locked, "shiplock unlock "+env.Name+", then lock it again", "%s is locked by %s since %s: %s", env.Name, held.By, held.At.Format(time.RFC3339), held.Reason)
		}
		if held != nil {
			if err := closeLock(ctx, tx, env, "its end", held.Until); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO locks (app, env, reason, actor, at, until) VALUES (?,?,?,?,?,?)`,
			env.App, env.Name, l.Reason, l.By, formatTime(l.At), formatEnd(l.Until))
		return err
	})
	if ship.KindOf(err) == ship.Locked {
		return ship.Lock{}, err
	}
	if err != nil {
		return ship.Lock{}, fmt.Errorf("lock: %w", err)
	}
	s.told()
	return l, nil
}

// Unlock takes the lock from an environment and returns it; nil when there was
// none.
func (s *Store) Unlock(ctx context.Context, env ship.EnvironmentID, by string, at time.Time) (held *ship.Lock, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) (err error) {
		if held, err = scanLock(tx.QueryRowContext(ctx, selectLock+` AND app = ? AND env = ?`, env.App, env.Name)); err != nil || held == nil {
			return err
		}
		return closeLock(ctx, tx, env, by, at)
	})
	if err != nil {
		return nil, fmt.Errorf("unlock: %w", err)
	}
	s.told()
	return held, nil
}

func closeLock(ctx context.Context, tx *sql.Tx, env ship.EnvironmentID, by string, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE locks SET unlocked_by = ?, unlocked_at = ? WHERE unlocked_at = '' AND app = ? AND env = ?`, by, formatTime(at), env.App, env.Name)
	return err
}

// LockOf returns the lock of an environment that holds at a time, or nil.
func (s *Store) LockOf(ctx context.Context, env ship.EnvironmentID, at time.Time) (*ship.Lock, error) {
	l, err := scanLock(s.db.QueryRowContext(ctx, selectLock+` AND app = ? AND env = ?`, env.App, env.Name))
	if err != nil || l == nil || !l.Until.IsZero() && !at.Before(l.Until) {
		return nil, err
	}
	return l, nil
}

// Locks returns the locks of an app, or of all for "", that hold at a time.
func (s *Store) Locks(ctx context.Context, app string, at time.Time) ([]ship.Lock, error) {
	rows, err := s.db.QueryContext(ctx, selectLock+` AND ? IN ('', app) ORDER BY id`, app)
	if err != nil {
		return nil, fmt.Errorf("list locks: %w", err)
	}
	defer rows.Close()
	var all []ship.Lock
	for rows.Next() {
		l, err := scanLock(rows)
		if err != nil {
			return nil, err
		}
		if l.Until.IsZero() || at.Before(l.Until) {
			all = append(all, *l)
		}
	}
	return all, rows.Err()
}

func scanLock(row scanner) (*ship.Lock, error) {
	var l ship.Lock
	var at, until string
	err := row.Scan(&l.Environment.App, &l.Environment.Name, &l.Reason, &l.By, &at, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read lock: %w", err)
	}
	l.At, l.Until = parseTime(at), parseTime(until)
	return &l, nil
}

// formatEnd is formatTime, but for an end that there is not.
func formatEnd(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return formatTime(t)
}
