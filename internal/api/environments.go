package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

func (s *server) environments(w http.ResponseWriter, r *http.Request) error {
	all, err := s.Store.Environments(r.Context(), r.URL.Query().Get("app"))
	if err != nil {
		return err
	}
	return write(w, all)
}

func (s *server) status(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	envs, err := s.Store.Environments(r.Context(), q.Get("app"))
	if err != nil {
		return err
	}
	all := []wire.EnvironmentStatus{}
	for _, env := range envs {
		if q.Get("env") != "" && q.Get("env") != env.ID.Name {
			continue
		}
		st, err := s.statusOf(r.Context(), env)
		if err != nil {
			return err
		}
		all = append(all, st)
	}
	unused, err := s.unused(r.Context(), q.Get("app"), q.Get("env"), all)
	if err != nil {
		return err
	}
	return write(w, append(all, unused...))
}

func (s *server) statusOf(ctx context.Context, env ship.Environment) (wire.EnvironmentStatus, error) {
	st := wire.EnvironmentStatus{ID: env.ID, State: "empty"}
	if err := s.barred(ctx, &st, env); err != nil {
		return st, err
	}
	run, err := s.lastBegun(ctx, env.ID)
	if err != nil {
		return st, err
	}
	if run != nil && !run.Status.Ended() {
		st.Open = run
	}
	if run != nil && run.Result.Kind == ship.RolledBack {
		st.Note = run.Result.Reason
	}
	deployed, err := s.Store.DeployedIn(ctx, env.ID)
	if err != nil {
		return st, err
	}
	p, err := s.Platform(env.Platform)
	if err != nil {
		return st, err
	}
	if st.Observed, err = p.Observe(ctx, env.ID); err != nil {
		st.State, st.Note = "unreachable", err.Error()
		return st, s.history(ctx, &st, deployed) // that it cannot be reached is the status
	}
	if active, ok := st.Observed.Slots[st.Observed.Active]; ok && st.Observed.Active != "" {
		st.Release, st.Since = &active.Release, active.Since
		// A slot that was gone back to has run for longer than it has served.
		if len(deployed) > 0 && deployed[0].Release == active.Release.Number && deployed[0].At.After(st.Since) {
			st.Since = deployed[0].At
		}
	}
	if err := s.history(ctx, &st, deployed); err != nil {
		return st, err
	}
	st.State = state(st)
	if w := st.Observed.Watch; w != nil && (w.Alert != "" || w.After != "" && !strings.Contains(st.Note, w.After)) {
		st.Note = strings.TrimPrefix(st.Note+"; "+cmp.Or(w.Alert, w.After), "; ")
	}
	return st, nil
}

// lastBegun returns the newest run that did not only wait; nil when there is
// none.
func (s *server) lastBegun(ctx context.Context, env ship.EnvironmentID) (*ship.Run, error) {
	runs, err := s.Store.Runs(ctx, ship.RunFilter{App: env.App, Env: env.Name, Began: true, Limit: 1})
	if err != nil || len(runs) == 0 {
		return nil, err
	}
	return &runs[0], nil
}

// history fills in what the store knows: who brought what serves, and the
// previous good release.
func (s *server) history(ctx context.Context, st *wire.EnvironmentStatus, deployed []ship.Deployed) error {
	if len(deployed) == 0 {
		return nil
	}
	if run, err := s.Store.Run(ctx, deployed[0].Run); err == nil {
		st.By = run.Request.By
		if st.Waiting, err = s.waiting(ctx, run); err != nil {
			return err
		}
		if st.Windows, err = s.windows(ctx, run, st.Waiting, deployed); err != nil {
			return err
		}
	}
	serving := deployed[0].Release
	if st.Release != nil {
		serving = st.Release.Number // its run may not be over
	}
	for _, d := range deployed {
		if d.Release != serving {
			rel, err := s.Store.Release(ctx, st.ID.App, d.Release)
			if err != nil {
				return err
			}
			st.Previous = &rel
			return nil
		}
	}
	return nil
}

// lookBack is how many runs are looked through for contracts that were carried
// out since a deployment.
const lookBack = 500

// waiting lists the contracts that a deployment left and no run has carried out
// since.
func (s *server) waiting(ctx context.Context, deployed ship.Run) ([]string, error) {
	if len(deployed.Plan.Waiting) == 0 {
		return nil, nil
	}
	runs, err := s.Store.Runs(ctx, ship.RunFilter{App: deployed.Request.Environment.ID.App, Env: deployed.Request.Environment.ID.Name, Limit: lookBack})
	if err != nil {
		return nil, err
	}
	done := map[string]bool{}
	for _, r := range runs {
		if r.ID == deployed.ID {
			break
		}
		for _, m := range r.Plan.Migrations {
			done[m.ID] = done[m.ID] || r.Request.Options.Contract && r.Status == ship.Passed
		}
	}
	var ids []string
	for _, w := range deployed.Plan.Waiting {
		if !done[w.Migration.ID] {
			ids = append(ids, w.Migration.ID)
		}
	}
	return ids, nil
}

// windows says when the windows of contracts are over. The other conditions are
// for the database and the platform to tell, which status does not ask.
func (s *server) windows(ctx context.Context, run ship.Run, waiting []string, deployed []ship.Deployed) (map[string]time.Time, error) {
	settings := run.Request.Environment.Migrate
	if len(waiting) == 0 || settings == nil {
		return nil, nil
	}
	var served []plan.Served
	for _, d := range deployed {
		rel, err := s.Store.Release(ctx, run.Request.Environment.ID.App, d.Release)
		if err != nil && ship.KindOf(err) != ship.NotFound {
			return nil, err
		}
		served = append(served, plan.Served{Release: rel, At: d.At})
	}
	ends := map[string]time.Time{}
	for _, x := range run.Plan.Waiting {
		if at := plan.WindowEnds(served, x.Migration, settings.ContractAfter); !at.IsZero() && slices.Contains(waiting, x.Migration.ID) {
			ends[x.Migration.ID] = at
		}
	}
	return ends, nil
}

func state(st wire.EnvironmentStatus) string {
	o := st.Observed
	switch {
	case o.Active == "":
		return "empty"
	case o.Mode == ship.Holding:
		return "holding"
	case o.Mode == ship.Maintenance:
		return "maintenance"
	case o.Watch != nil && o.Watch.Back:
		return "restored"
	case o.Watch != nil && o.Watch.Verdict.Outcome == ship.Wait:
		return "watching"
	}
	for _, i := range o.Slots[o.Active].Instances {
		if i.State != "running" {
			return "degraded"
		}
	}
	return "healthy"
}

// settings returns an environment's newest settings.
func (s *server) settings(ctx context.Context, id ship.EnvironmentID) (ship.Environment, error) {
	all, err := s.Store.Environments(ctx, id.App)
	if err != nil {
		return ship.Environment{}, err
	}
	for _, e := range all {
		if e.ID == id {
			return e, nil
		}
	}
	return ship.Environment{}, ship.Errorf(ship.NotFound, "shiplock deploy "+id.Name, "nothing was ever deployed to %s", id)
}

func (s *server) logs(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	env, err := s.settings(r.Context(), ship.EnvironmentID{App: q.Get("app"), Name: q.Get("env")})
	if err != nil {
		return err
	}
	p, err := s.Platform(env.Platform)
	if err != nil {
		return err
	}
	lines, _ := strconv.Atoi(q.Get("lines"))
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	query := platform.LogQuery{Slot: ship.Slot(q.Get("slot")), Process: q.Get("process"), Lines: lines, Follow: q.Get("follow") != "", Job: q.Get("job")}
	return p.Logs(r.Context(), env.ID, query, flushed{w, http.NewResponseController(w)})
}

// flushed sends every write at once, so that logs can be followed.
type flushed struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = f.c.Flush()
	}
	return n, err
}

func (s *server) mode(w http.ResponseWriter, r *http.Request) error {
	var in wire.Mode
	if err := read(r, &in); err != nil {
		return err
	}
	if err := s.asks(r, wish{"mode", in.Environment.ID, in.By, string(in.Change.Mode)}); err != nil {
		return err
	}
	if err := s.Engine.SetMode(r.Context(), ship.Request{Verb: string(in.Change.Mode), Environment: in.Environment, By: in.By}, in.Change); err != nil {
		return err
	}
	return write(w, in.Change)
}

func (s *server) migrations(w http.ResponseWriter, r *http.Request) error {
	var in wire.Migrations
	if err := read(r, &in); err != nil {
		return err
	}
	rel, err := s.Store.Release(r.Context(), in.Environment.ID.App, in.Release)
	if err != nil {
		return err
	}
	f, err := s.Engine.Migrations(r.Context(), ship.Request{Verb: "status", Environment: in.Environment, Release: rel})
	if err != nil {
		return err
	}
	known, err := json.Marshal(f.Known)
	if err != nil {
		return fmt.Errorf("encode the schema: %w", err)
	}
	return write(w, wire.Migrations{
		Environment: in.Environment, Release: in.Release, Migrations: f.Listing.Migrations,
		Unknown: f.Listing.Unknown, Dirty: f.Listing.Dirty, Problems: f.Listing.Problems, Ledger: f.Ledger, Known: known, Ahead: f.Ahead,
		Waiting: plan.Waits(f.Facts),
	})
}

func (s *server) rehearse(w http.ResponseWriter, r *http.Request) error {
	var in wire.Rehearse
	if err := read(r, &in); err != nil {
		return err
	}
	rel, err := s.Store.Release(r.Context(), in.Environment.ID.App, in.Release)
	if err != nil {
		return err
	}
	v, err := s.Engine.Rehearse(r.Context(), ship.Request{Verb: "rehearse", Environment: in.Environment, Release: rel}, in.Gate, func(string) {})
	if err != nil {
		return err
	}
	return write(w, v)
}

func (s *server) resolveMigration(w http.ResponseWriter, r *http.Request) error {
	var in wire.Resolve
	if err := read(r, &in); err != nil {
		return err
	}
	state := migrate.State(in.As)
	if state != migrate.StateApplied && state != migrate.StateNotApplied {
		return ship.Errorf(ship.Invalid, "", "a migration is %q or %q, not %q", migrate.StateApplied, migrate.StateNotApplied, in.As)
	}
	if err := s.asks(r, wish{"resolve", in.Environment.ID, in.By, in.Migration + " " + in.As}); err != nil {
		return err
	}
	if err := s.Engine.Resolve(r.Context(), ship.Request{Verb: "migrate resolve", Environment: in.Environment, By: in.By}, in.Migration, state); err != nil {
		return err
	}
	return write(w, in)
}
