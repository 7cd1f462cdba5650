package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/ship"
)

// Journal returns a run's entries in the order of its plan.
func (s *Store) Journal(ctx context.Context, run string) ([]ship.Entry, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT seq, name, state, attempt, epoch, evidence, error, kind, hint, started_at, ended_at FROM steps WHERE run = ? ORDER BY seq`, run)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	defer rows.Close()
	var all []ship.Entry
	for rows.Next() {
		var e ship.Entry
		var evidence, started, ended string
		if err := rows.Scan(&e.Seq, &e.Name, &e.State, &e.Attempt, &e.Epoch, &evidence, &e.Error, &e.Kind, &e.Hint, &started, &ended); err != nil {
			return nil, fmt.Errorf("read journal: %w", err)
		}
		if evidence != "" {
			e.Evidence = json.RawMessage(evidence)
		}
		e.StartedAt, e.EndedAt = parseTime(started), parseTime(ended)
		all = append(all, e)
	}
	return all, rows.Err()
}

// Intend records that a step is about to act (or, with StepUndoing, to be
// undone) and counts the attempt. It is durable when it returns.
func (s *Store) Intend(ctx context.Context, run string, seq int, name string, state ship.StepState, epoch int64) error {
	err := s.exec(ctx, "intent", `INSERT INTO steps (run, seq, name, state, attempt, epoch, started_at) VALUES (?,?,?,?,1,?,?)
		ON CONFLICT (run, seq) DO UPDATE SET state = excluded.state, attempt = attempt + 1, epoch = excluded.epoch`,
		run, seq, name, state, epoch, formatTime(time.Now()))
	if err != nil {
		return fmt.Errorf("record intent of %s: %w", name, err)
	}
	return nil
}

// Settle records how a step ended, with what it found. A plan that is not nil
// replaces the run's plan in the same transaction.
func (s *Store) Settle(ctx context.Context, run string, seq int, state ship.StepState, evidence any, failure error, plan *ship.Plan) error {
	var text, hint, detail string
	var kind ship.Kind
	if failure != nil {
		text, kind, hint = failure.Error(), ship.KindOf(failure), ship.HintOf(failure)
	}
	if evidence != nil {
		detail = encode(evidence)
	}
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE steps SET state = ?, error = ?, kind = ?, hint = ?, ended_at = ?,
			evidence = CASE WHEN ? = '' THEN evidence ELSE ? END WHERE run = ? AND seq = ?`,
			state, text, kind, hint, formatTime(time.Now()), detail, detail, run, seq); err != nil {
			return err
		}
		if plan == nil {
			return nil
		}
		_, err := tx.ExecContext(ctx, `UPDATE runs SET plan = ? WHERE id = ?`, encode(*plan), run)
		return err
	})
	if err != nil {
		return fmt.Errorf("record end of step %d: %w", seq, err)
	}
	return nil
}

// Note saves what a step found on its way, to be read by its next attempt.
func (s *Store) Note(ctx context.Context, run string, seq int, evidence any) error {
	if err := s.exec(ctx, "note", `UPDATE steps SET evidence = ? WHERE run = ? AND seq = ?`, encode(evidence), run, seq); err != nil {
		return fmt.Errorf("record evidence of step %d: %w", seq, err)
	}
	return nil
}

// AddEvent appends an event to its run and wakes those who follow it.
func (s *Store) AddEvent(ctx context.Context, e ship.Event) error {
	if err := failpoint.Hit("store event"); err != nil {
		return fmt.Errorf("record event: %w", err)
	}
	err := addEvent(ctx, s.db, e)
	if err != nil {
		return fmt.Errorf("record event: %w", err)
	}
	s.wake.all()
	return nil
}

// executor is a database or a transaction.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func addEvent(ctx context.Context, to executor, e ship.Event) error {
	_, err := to.ExecContext(ctx, `INSERT INTO events (run, seq, at, type, step, text, data)
		VALUES (?, (SELECT coalesce(max(seq), 0) + 1 FROM events WHERE run = ?), ?,?,?,?,?)`,
		e.Run, e.Run, formatTime(time.Now()), e.Type, e.Step, e.Text, string(e.Data))
	return err
}

// Events returns a run's events after the given sequence number.
func (s *Store) Events(ctx context.Context, run string, after int64) ([]ship.Event, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT seq, at, type, step, text, data FROM events WHERE run = ? AND seq > ? ORDER BY seq`, run, after)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	defer rows.Close()
	var all []ship.Event
	for rows.Next() {
		e := ship.Event{Run: run}
		var at, data string
		if err := rows.Scan(&e.Seq, &at, &e.Type, &e.Step, &e.Text, &data); err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		e.At = parseTime(at)
		if data != "" {
			e.Data = json.RawMessage(data)
		}
		all = append(all, e)
	}
	return all, rows.Err()
}

// Changed returns a channel that is closed at the next event or change of
// status of any run. Take it before reading, so that nothing is missed.
func (s *Store) Changed() <-chan struct{} { return s.wake.next() }

// Moved returns a channel that is closed when a run begins to wait, begins, is
// paused or ends, and when a lock comes or goes. Take it before looking.
func (s *Store) Moved() <-chan struct{} { return s.moved.next() }

// told wakes who waits for any change, and who waits for one of status.
func (s *Store) told() {
	s.wake.all()
	s.moved.all()
}

// wakers lets readers wait for writers of the same process.
type wakers struct {
	mu sync.Mutex
	ch chan struct{}
}

func (w *wakers) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ch == nil {
		w.ch = make(chan struct{})
	}
	return w.ch
}

func (w *wakers) all() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ch != nil {
		close(w.ch)
		w.ch = nil
	}
}
