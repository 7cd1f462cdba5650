package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// AddRun records a run that begins, with its opening plan: see [Store.Add].
func (s *Store) AddRun(ctx context.Context, req ship.Request, plan ship.Plan) (ship.Run, error) {
	return s.Add(ctx, Wish{Request: req, Plan: plan})
}

// Add records a run. One that is to begin fails with kind Locked when the
// environment has a run that has not ended, naming it. A request with the key
// of one before it gets the run of that one, and adds none.
func (s *Store) Add(ctx context.Context, w Wish) (ship.Run, error) {
	run := ship.Run{Request: w.Request, Plan: w.Plan, Status: ship.Planned, CreatedAt: time.Now().UTC()}
	if w.Waits != "" {
		run.Status = ship.Queued
	}
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		same, err := scanRun(tx.QueryRowContext(ctx, selectRun+whereKey, w.Request.Key))
		if ship.KindOf(err) != ship.NotFound {
			run = same
			return err
		}
		if run.Status == ship.Planned {
			if err := free(ctx, tx, w.Request.Environment.ID); err != nil {
				return err
			}
		}
		return insert(ctx, tx, w, &run)
	})
	if ship.KindOf(err) == ship.Locked {
		return ship.Run{}, err
	}
	if err != nil {
		return ship.Run{}, fmt.Errorf("record run: %w", err)
	}
	if w.Waits != "" || w.Supersedes {
		s.told()
	}
	return run, nil
}

// insert records a run and what it means to others.
func insert(ctx context.Context, tx *sql.Tx, w Wish, run *ship.Run) error {
	req, env := w.Request, w.Request.Environment.ID
	var seq int64
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) + 1 FROM runs`).Scan(&seq); err != nil {
		return err
	}
	run.ID = runID(seq)
	if w.Supersedes {
		if err := supersede(ctx, tx, *run); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO runs (seq, id, app, env, request, plan, status, created_at, key, due) VALUES (?,?,?,?,?,?,?,?,?,?)`,
		seq, run.ID, env.App, env.Name, encode(req), encode(w.Plan), run.Status, formatTime(run.CreatedAt), req.Key, len(req.Next) > 0); err != nil {
		return err
	}
	if run.Status == ship.Queued {
		if err := waitsFor(ctx, tx, *run, w.Waits); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO environments (app, env, settings) VALUES (?,?,?) ON CONFLICT (app, env) DO NOTHING`, env.App, env.Name, encode(req.Environment))
		return err
	}
	return recordSettings(ctx, tx, req.Environment)
}

// recordSettings records the settings an environment is used with.
func recordSettings(ctx context.Context, tx *sql.Tx, env ship.Environment) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO environments (app, env, settings) VALUES (?,?,?) ON CONFLICT (app, env) DO UPDATE SET settings = excluded.settings`,
		env.ID.App, env.ID.Name, encode(env))
	return err
}

// free fails with kind Locked when a run has the environment.
func free(ctx context.Context, tx *sql.Tx, env ship.EnvironmentID) error {
	other, err := scanRun(tx.QueryRowContext(ctx, selectRun+` WHERE app = ? AND env = ? AND status IN ('planned','running','undoing','paused')`, env.App, env.Name))
	if err == nil {
		return held(ctx, tx, other)
	}
	if ship.KindOf(err) != ship.NotFound {
		return err
	}
	return nil
}

// runID names a run. Nodes and target databases outlive our state and may be
// used by several states that all count from one: without the random end two
// runs would be one to them, and both would hold the claim.
func runID(seq int64) string {
	return fmt.Sprintf("d-%d-%s", seq, strings.ToLower(rand.Text()[:5]))
}

// held says who is in the way, what it is at, and what whoever has to wait can
// do about it.
func held(ctx context.Context, tx *sql.Tx, r ship.Run) error {
	hint, at := "shiplock watch "+r.ID, ""
	if r.Status == ship.Paused {
		hint = "shiplock explain " + r.ID
	}
	var step string
	err := tx.QueryRowContext(ctx, `SELECT name FROM steps WHERE run = ? AND state = ? ORDER BY seq DESC LIMIT 1`, r.ID, ship.StepStarted).Scan(&step)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read journal: %w", err)
	}
	if step != "" && r.Status == ship.Running {
		at = ", now at " + step
		if step == "watch" {
			hint = "shiplock resume " + r.ID + ", to end its watch and let the release stay; or wait for it: " + hint
		}
	}
	return ship.Errorf(ship.Locked, hint, "%s is held by run %s (%s v%d, %s%s since %s, by %s)", r.Request.Environment.ID,
		r.ID, r.Request.Word(), r.Request.Release.Number, r.Status, at, r.CreatedAt.Format(time.RFC3339), r.Request.By)
}

const selectRun = `SELECT id, request, plan, status, epoch, result, created_at, ended_at FROM runs`

// whereKey selects the run that was asked for with a key.
const whereKey = ` WHERE key <> '' AND key = ?`

// RunOf returns the run that was asked for with a key. No run has an empty one.
func (s *Store) RunOf(ctx context.Context, key string) (ship.Run, error) {
	return scanRun(s.db.QueryRowContext(ctx, selectRun+whereKey, key))
}

// Run returns a run by its ID, or by the beginning of it that counts: "d-7".
func (s *Store) Run(ctx context.Context, id string) (ship.Run, error) {
	r, err := scanRun(s.db.QueryRowContext(ctx, selectRun+` WHERE id = ? OR 'd-' || seq = ?`, id, id))
	if ship.KindOf(err) == ship.NotFound {
		return r, ship.Errorf(ship.NotFound, "shiplock history", "no run %q", id)
	}
	return r, err
}

// CountRuns returns how many runs of each environment have each status.
func (s *Store) CountRuns(ctx context.Context) (map[ship.EnvironmentID]map[ship.Status]int64, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT app, env, status, count(*) FROM runs GROUP BY app, env, status`)
	if err != nil {
		return nil, fmt.Errorf("count runs: %w", err)
	}
	defer rows.Close()
	all := map[ship.EnvironmentID]map[ship.Status]int64{}
	for rows.Next() {
		var id ship.EnvironmentID
		var status ship.Status
		var n int64
		if err := rows.Scan(&id.App, &id.Name, &status, &n); err != nil {
			return nil, fmt.Errorf("count runs: %w", err)
		}
		if all[id] == nil {
			all[id] = map[ship.Status]int64{}
		}
		all[id][status] = n
	}
	return all, rows.Err()
}

// Runs returns the runs f selects, newest first.
func (s *Store) Runs(ctx context.Context, f ship.RunFilter) ([]ship.Run, error) {
	where, args := []string{"1 = 1"}, []any{}
	if f.App != "" {
		where, args = append(where, "app = ?"), append(args, f.App)
	}
	if f.Env != "" {
		where, args = append(where, "env = ?"), append(args, f.Env)
	}
	if f.Open {
		where = append(where, "status IN ('planned','running','undoing','paused')")
	}
	if f.Queued {
		where = append(where, "status = 'queued'")
	}
	if f.Began {
		where = append(where, "status NOT IN ('queued','superseded')")
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 1000
	}
	rows, err := s.db.QueryContext(ctx, selectRun+` WHERE `+strings.Join(where, " AND ")+` ORDER BY seq DESC LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
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

func scanRun(row scanner) (ship.Run, error) {
	var r ship.Run
	var request, plan, result, created, ended string
	err := row.Scan(&r.ID, &request, &plan, &r.Status, &r.Epoch, &result, &created, &ended)
	if errors.Is(err, sql.ErrNoRows) {
		return r, ship.Errorf(ship.NotFound, "shiplock history", "no such run")
	}
	if err != nil {
		return r, fmt.Errorf("read run: %w", err)
	}
	r.CreatedAt, r.EndedAt = parseTime(created), parseTime(ended)
	if err := errors.Join(decode(request, &r.Request), decode(plan, &r.Plan), decode(result, &r.Result)); err != nil {
		return r, err
	}
	if r.Plan.Schema > ship.PlanSchema {
		return r, ship.Errorf(ship.Invalid, "use the newer shiplock", "run %s has a plan of schema %d, this shiplock knows %d", r.ID, r.Plan.Schema, ship.PlanSchema)
	}
	return r, nil
}

// SetStatus changes a run's status, and with it its result.
func (s *Store) SetStatus(ctx context.Context, id string, status ship.Status, result ship.Result) error {
	ended := ""
	if status.Ended() {
		ended = formatTime(time.Now())
	}
	err := s.exec(ctx, "status", `UPDATE runs SET status = ?, result = ?, ended_at = ? WHERE id = ?`, status, encode(result), ended, id)
	if err != nil {
		return fmt.Errorf("set status of %s: %w", id, err)
	}
	s.told()
	return nil
}

// SetEpoch records the epoch a run was granted.
func (s *Store) SetEpoch(ctx context.Context, id string, epoch int64) error {
	if err := s.exec(ctx, "epoch", `UPDATE runs SET epoch = ? WHERE id = ?`, epoch, id); err != nil {
		return fmt.Errorf("set epoch of %s: %w", id, err)
	}
	return nil
}
