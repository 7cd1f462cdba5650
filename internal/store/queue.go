package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Wish is a request for a run, with what becomes of it.
type Wish struct {
	Request ship.Request
	Plan    ship.Plan
	// Waits is why it is put into the queue; "" has it begin.
	Waits string
	// Supersedes ends the run that waits in the environment, if there is one.
	Supersedes bool
}

// supersede ends the run that waits in an environment, because of a newer one.
func supersede(ctx context.Context, tx *sql.Tx, by ship.Run) error {
	env := by.Request.Environment.ID
	old, err := scanRun(tx.QueryRowContext(ctx, selectRun+` WHERE app = ? AND env = ? AND status = 'queued'`, env.App, env.Name))
	if ship.KindOf(err) == ship.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return endQueued(ctx, tx, old, ship.Result{
		Status: ship.Superseded, Kind: ship.Locked, Next: "shiplock watch " + by.ID,
		Reason: fmt.Sprintf("superseded by %s (%s v%d, by %s) after it had waited %s", by.ID, by.Request.Word(), by.Request.Release.Number, by.Request.By,
			by.CreatedAt.Sub(old.CreatedAt).Round(time.Second)),
	})
}

// EndQueued ends a run that waits, and tells whether it still did.
func (s *Store) EndQueued(ctx context.Context, id string, r ship.Result) (ended bool, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		old, err := scanRun(tx.QueryRowContext(ctx, selectRun+` WHERE id = ? AND status = 'queued'`, id))
		if ship.KindOf(err) == ship.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		ended = true
		return endQueued(ctx, tx, old, r)
	})
	if err != nil {
		return false, fmt.Errorf("end run %s: %w", id, err)
	}
	if ended {
		s.told()
	}
	return ended, nil
}

// endQueued ends a run that has done nothing, so that whoever follows it sees
// how.
func endQueued(ctx context.Context, tx *sql.Tx, run ship.Run, r ship.Result) error {
	r.Run, r.Environment, r.Schema, r.Candidate = run.ID, run.Request.Environment.ID, ship.SchemaUnchanged, run.Request.Release.Number
	if err := addEvent(ctx, tx, ship.Event{Run: run.ID, Type: ship.EventFinal, Text: r.Reason, Data: []byte(encode(r))}); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE runs SET status = ?, result = ?, ended_at = ?, due = 0 WHERE id = ?`, r.Status, encode(r), formatTime(time.Now()), run.ID)
	return err
}

// WaitsFor records why a run waits, where it still does and that was not known,
// and tells who follows it.
func (s *Store) WaitsFor(ctx context.Context, id, why string) error {
	news := false
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		run, err := scanRun(tx.QueryRowContext(ctx, selectRun+` WHERE id = ? AND status = 'queued'`, id))
		if ship.KindOf(err) == ship.NotFound || err == nil && run.Result.Reason == waits(why) {
			return nil
		}
		if err != nil {
			return err
		}
		news = true
		return waitsFor(ctx, tx, run, why)
	})
	if err != nil {
		return fmt.Errorf("record what %s waits for: %w", id, err)
	}
	if news { // else whoever records it would wake himself for ever
		s.told()
	}
	return nil
}

func waits(why string) string { return "waits: " + why }

func waitsFor(ctx context.Context, tx *sql.Tx, run ship.Run, why string) error {
	r := ship.Result{Run: run.ID, Environment: run.Request.Environment.ID, Status: ship.Queued, Reason: waits(why), Schema: ship.SchemaUnchanged, Candidate: run.Request.Release.Number}
	if err := addEvent(ctx, tx, ship.Event{Run: run.ID, Type: ship.EventNote, Step: "queue", Text: r.Reason}); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE runs SET result = ? WHERE id = ?`, encode(r), run.ID)
	return err
}

// Begin has a run that waits take its turn. It fails with kind Locked when
// another has the environment, and with NotFound when it waits no longer.
func (s *Store) Begin(ctx context.Context, id string) (ship.Run, error) {
	var run ship.Run
	err := s.inTx(ctx, func(tx *sql.Tx) (err error) {
		if run, err = scanRun(tx.QueryRowContext(ctx, selectRun+` WHERE id = ? AND status = 'queued'`, id)); err != nil {
			return err
		}
		env := run.Request.Environment.ID
		if err := free(ctx, tx, env); err != nil {
			return err
		}
		waited := time.Since(run.CreatedAt).Round(time.Second)
		if err := addEvent(ctx, tx, ship.Event{Run: id, Type: ship.EventNote, Step: "queue", Text: fmt.Sprintf("begins after it waited %s", waited)}); err != nil {
			return err
		}
		run.Status, run.Result = ship.Planned, ship.Result{}
		if _, err = tx.ExecContext(ctx, `UPDATE runs SET status = ?, result = '' WHERE id = ?`, run.Status, id); err != nil {
			return err
		}
		return recordSettings(ctx, tx, run.Request.Environment)
	})
	if err != nil {
		return ship.Run{}, fmt.Errorf("begin run %s: %w", id, err)
	}
	s.told()
	return run, nil
}

// Due returns the runs that have ended and whose promotions are not recorded
// yet, oldest first.
func (s *Store) Due(ctx context.Context) ([]ship.Run, error) {
	rows, err := s.db.QueryContext(ctx, selectRun+` WHERE due = 1 AND ended_at <> '' ORDER BY seq`)
	if err != nil {
		return nil, fmt.Errorf("list promotions: %w", err)
	}
	defer rows.Close()
	var all []ship.Run
	for rows.Next() {
		r, err := scanRun(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// Promoted records that what follows a run is recorded.
func (s *Store) Promoted(ctx context.Context, id string) error {
	if err := s.exec(ctx, "promoted", `UPDATE runs SET due = 0 WHERE id = ?`, id); err != nil {
		return fmt.Errorf("record promotions of %s: %w", id, err)
	}
	return nil
}
