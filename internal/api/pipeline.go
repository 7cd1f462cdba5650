package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/shiplock/shiplock/internal/pipeline"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// judge says whether a run may begin, and of a promotion which release it is.
func (s *server) judge(w http.ResponseWriter, r *http.Request) error {
	var in wire.NewRun
	if err := read(r, &in); err != nil {
		return err
	}
	req, err := s.request(r.Context(), in)
	if err != nil {
		return err
	}
	d, err := s.Desk.Judge(r.Context(), req)
	if err != nil {
		return err
	}
	return write(w, wire.Judged{Release: req.Release, Outcome: d.Outcome, Kind: d.Kind, Reason: d.Reason, Next: d.Next, Until: d.Until})
}

// Bounds of a lock: of one that ends by itself, and of why it is there.
const (
	longestLock = 366 * 24 * time.Hour
	maxReason   = 500 // bytes
)

func (s *server) lock(w http.ResponseWriter, r *http.Request) error {
	var in wire.Lock
	if err := read(r, &in); err != nil {
		return err
	}
	switch {
	case in.Environment.App == "" || in.Environment.Name == "":
		return ship.Errorf(ship.Invalid, "", "no environment is named")
	case strings.TrimSpace(in.Reason) == "":
		return ship.Errorf(ship.Invalid, "shiplock lock "+in.Environment.Name+" --reason '…'", "a lock needs a reason: whoever is refused sees it")
	case len(in.Reason) > maxReason || strings.ContainsFunc(in.Reason, unicode.IsControl):
		return ship.Errorf(ship.Invalid, "shorten it", "the reason of a lock is one line of at most %d bytes", maxReason)
	case in.For < 0 || in.For > longestLock:
		return ship.Errorf(ship.Invalid, "leave it out to lock until unlocked", "a lock lasts up to a year, not %s", in.For)
	}
	l := ship.Lock{Environment: in.Environment, Reason: in.Reason, By: in.By, At: time.Now().UTC()}
	if in.For > 0 {
		l.Until = l.At.Add(in.For)
	}
	if err := s.asks(r, wish{"lock", l.Environment, l.By, fmt.Sprintf("for %s reason %q", in.For, l.Reason)}); err != nil {
		return err
	}
	l, err := s.Store.Lock(r.Context(), l)
	if err != nil {
		return err
	}
	return write(w, wire.Lock{Lock: l, For: in.For, Locked: true})
}

func (s *server) unlock(w http.ResponseWriter, r *http.Request) error {
	var in wire.Lock
	if err := read(r, &in); err != nil {
		return err
	}
	if in.Environment.App == "" || in.Environment.Name == "" {
		return ship.Errorf(ship.Invalid, "", "no environment is named")
	}
	if err := s.asks(r, wish{"unlock", in.Environment, in.By, ""}); err != nil {
		return err
	}
	held, err := s.Store.Unlock(r.Context(), in.Environment, in.By, time.Now())
	if err != nil {
		return err
	}
	out := wire.Lock{Lock: ship.Lock{Environment: in.Environment}}
	if held != nil {
		out = wire.Lock{Lock: *held, Locked: held.Until.IsZero() || time.Now().Before(held.Until)}
	}
	return write(w, out)
}

// barred fills in what keeps deployments away, and what waits.
func (s *server) barred(ctx context.Context, st *wire.EnvironmentStatus, env ship.Environment) (err error) {
	now := time.Now()
	if st.Lock, err = s.Store.LockOf(ctx, env.ID, now); err != nil {
		return err
	}
	if f := pipeline.FrozenAt(env.Freeze, now); f != nil {
		st.Frozen = &wire.Frozen{Until: f.Until, Reason: f.Reason}
	}
	queued, err := s.Store.Runs(ctx, ship.RunFilter{App: env.ID.App, Env: env.ID.Name, Queued: true, Limit: 1})
	if err == nil && len(queued) > 0 {
		st.Queued = &queued[0]
	}
	return err
}

// unused returns the environments that are locked before they were ever
// deployed to.
func (s *server) unused(ctx context.Context, app, name string, known []wire.EnvironmentStatus) ([]wire.EnvironmentStatus, error) {
	locks, err := s.Store.Locks(ctx, app, time.Now())
	var all []wire.EnvironmentStatus
	for _, l := range locks {
		is := func(st wire.EnvironmentStatus) bool { return st.ID == l.Environment }
		if (name == "" || name == l.Environment.Name) && !slices.ContainsFunc(known, is) {
			all = append(all, wire.EnvironmentStatus{ID: l.Environment, State: "empty", Lock: &l})
		}
	}
	return all, err
}

// told lists an app's releases, with where each runs and what changed since the
// one before.
func (s *server) told(w http.ResponseWriter, r *http.Request) error {
	ctx, app := r.Context(), r.URL.Query().Get("app")
	releases, err := s.Store.Releases(ctx, app)
	if err != nil {
		return err
	}
	envs, err := s.Store.Environments(ctx, app)
	if err != nil {
		return err
	}
	all := make([]wire.Told, len(releases))
	for i, rel := range releases {
		all[i].Release = rel
		if i+1 < len(releases) {
			before := releases[i+1]
			all[i].Since = before.Number
			all[i].Added, all[i].Changed, all[i].Gone = pipeline.Migrations(before, rel)
		}
	}
	for _, env := range pipeline.Order(envs) {
		if err := s.tellOf(ctx, env, all); err != nil {
			return err
		}
	}
	return write(w, all)
}

// tellOf adds to every release what one environment knows of it.
func (s *server) tellOf(ctx context.Context, env ship.Environment, all []wire.Told) error {
	st, err := s.statusOf(ctx, env)
	if err != nil {
		return err
	}
	deployed, err := s.Store.DeployedIn(ctx, env.ID)
	if err != nil {
		return err
	}
	for i := range all {
		number := all[i].Number
		if st.Release != nil && st.Release.Number == number {
			all[i].RunsIn = append(all[i].RunsIn, wire.RunsIn{Environment: env.ID.Name, Since: st.Since, By: st.By})
		}
		came, before := pipeline.Arrived(deployed, number)
		if came == nil || before == nil {
			continue
		}
		if names := plan.Changed(before.Settings, came.Settings); len(names) > 0 {
			all[i].Set = append(all[i].Set, wire.Set{Environment: env.ID.Name, Names: names})
		}
	}
	return nil
}
