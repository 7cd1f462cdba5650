package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// Signal leaves a signal for a run that has not ended.
func (s *Store) Signal(ctx context.Context, run string, sig ship.Signal) error {
	r, err := s.Run(ctx, run)
	if err != nil {
		return err
	}
	if r.Status.Ended() {
		return ship.Errorf(ship.Invalid, "shiplock explain "+run, "run %s has ended: %s", run, r.Status)
	}
	if _, err := s.db.ExecContext(ctx, `INSERT INTO signals (run, name, data, actor, at) VALUES (?,?,?,?,?)`,
		r.ID, sig.Name, sig.Data, sig.By, formatTime(time.Now())); err != nil {
		return fmt.Errorf("signal %s: %w", run, err)
	}
	s.wake.all()
	return nil
}

// TakeSignal takes the oldest signal of that name, or returns nil.
func (s *Store) TakeSignal(ctx context.Context, run, name string) (*ship.Signal, error) {
	var sig *ship.Signal
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		var id int64
		got := ship.Signal{Name: name}
		err := tx.QueryRowContext(ctx, `SELECT id, data, actor FROM signals WHERE run = ? AND name = ? ORDER BY id LIMIT 1`, run, name).Scan(&id, &got.Data, &got.By)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		sig = &got
		_, err = tx.ExecContext(ctx, `DELETE FROM signals WHERE id = ?`, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take signal %s of %s: %w", name, run, err)
	}
	return sig, nil
}

// AddDeployed records that a run left its release serving. Recording the same
// run twice changes nothing.
func (s *Store) AddDeployed(ctx context.Context, run ship.Run) error {
	env := run.Request.Environment.ID
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM deployed WHERE run = ?`, run.ID).Scan(&n); err != nil || n > 0 {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO deployed (app, env, seq, release, run, settings, at)
			VALUES (?, ?, (SELECT coalesce(max(seq), 0) + 1 FROM deployed WHERE app = ? AND env = ?), ?, ?, ?, ?)`,
			env.App, env.Name, env.App, env.Name, run.Request.Release.Number, run.ID, encode(run.Request.Environment), formatTime(time.Now()))
		return err
	})
	if err != nil {
		return fmt.Errorf("record deployment of %s: %w", run.ID, err)
	}
	return nil
}

// DeployedIn returns what has served in an environment, newest first.
func (s *Store) DeployedIn(ctx context.Context, env ship.EnvironmentID) ([]ship.Deployed, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT d.seq, d.release, d.run, coalesce(json_extract(r.request, '$.verb'), ''), d.settings, d.at
		FROM deployed d LEFT JOIN runs r ON r.id = d.run WHERE d.app = ? AND d.env = ? ORDER BY d.seq DESC LIMIT 100`, env.App, env.Name)
	if err != nil {
		return nil, fmt.Errorf("list deployed: %w", err)
	}
	defer rows.Close()
	var all []ship.Deployed
	for rows.Next() {
		var d ship.Deployed
		var settings, at string
		if err := rows.Scan(&d.Seq, &d.Release, &d.Run, &d.Verb, &settings, &at); err != nil {
			return nil, fmt.Errorf("list deployed: %w", err)
		}
		d.At = parseTime(at)
		if err := decode(settings, &d.Settings); err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, rows.Err()
}

// Environments returns the newest settings of every environment ever used, or
// those of one app.
func (s *Store) Environments(ctx context.Context, app string) ([]ship.Environment, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT settings FROM environments WHERE ? IN ('', app) ORDER BY app, rowid`, app)
	if err != nil {
		return nil, fmt.Errorf("list environments: %w", err)
	}
	defer rows.Close()
	var all []ship.Environment
	for rows.Next() {
		var settings string
		if err := rows.Scan(&settings); err != nil {
			return nil, fmt.Errorf("list environments: %w", err)
		}
		var e ship.Environment
		if err := decode(settings, &e); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, rows.Err()
}
