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

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// request completes what a client asked for: a rollback without a release goes
// to the previous good one, with the settings it ran with.
func (s *server) request(ctx context.Context, in wire.NewRun) (ship.Request, error) {
	req := ship.Request{Verb: in.Verb, Environment: in.Environment, By: in.By, Reason: in.Reason, Options: in.Options, Key: in.Key, Next: in.Next}
	id := in.Environment.ID
	if in.Promote {
		req.Verb, req.From = ship.VerbDeploy, in.Environment.After
		if in.Release == 0 || req.From == "" {
			var err error
			req.Release, err = s.Desk.Candidate(ctx, in.Environment)
			return req, err
		}
	}
	if in.Verb == ship.VerbRollback {
		settings, number, err := s.back(ctx, id, in.Release)
		if err != nil {
			return req, err
		}
		req.Environment, in.Release = settings, number
	}
	var err error
	if in.Options.Backfill != "" || in.Options.Contract {
		req.Release, err = s.serving(ctx, id, in.Release)
	} else {
		req.Release, err = s.Store.Release(ctx, id.App, in.Release)
	}
	return req, err
}

// back finds the settings a release last served with; release 0 is the last
// good one before the current.
func (s *server) back(ctx context.Context, id ship.EnvironmentID, number int) (ship.Environment, int, error) {
	all, err := s.Store.DeployedIn(ctx, id)
	if err != nil {
		return ship.Environment{}, 0, err
	}
	for i, d := range all {
		if number == d.Release || number == 0 && i > 0 && d.Release != all[0].Release {
			return d.Settings, d.Release, nil
		}
	}
	if number != 0 {
		return ship.Environment{}, 0, ship.Errorf(ship.NotFound, "shiplock history "+id.Name, "v%d never served %s", number, id)
	}
	return ship.Environment{}, 0, ship.Errorf(ship.NotFound, "shiplock history "+id.Name, "%s has no previous good release", id)
}

func (s *server) plan(w http.ResponseWriter, r *http.Request) error {
	var in wire.NewRun
	if err := read(r, &in); err != nil {
		return err
	}
	req, err := s.request(r.Context(), in)
	if err != nil {
		return err
	}
	p, err := s.Engine.Plan(r.Context(), req, func(string) {})
	if err != nil {
		return err
	}
	return write(w, p)
}

// ofRun says what a run was asked to do.
func ofRun(req ship.Request) wish {
	w := wish{action: req.Word(), env: req.Environment.ID, by: req.By, detail: fmt.Sprintf("v%d %s", req.Release.Number, req.Release.Artifact.Digest)}
	if req.Options != (ship.Options{}) {
		b, _ := json.Marshal(req.Options)
		w.detail += " " + string(b)
	}
	if req.From != "" {
		w.detail += " from " + req.From
	}
	if req.Reason != "" {
		w.detail += fmt.Sprintf(" reason %q", req.Reason)
	}
	return w
}

func (s *server) addRun(w http.ResponseWriter, r *http.Request) error {
	var in wire.NewRun
	if err := read(r, &in); err != nil {
		return err
	}
	// The state has changed since it was asked for first: nothing is judged again.
	if run, err := s.Store.RunOf(r.Context(), in.Key); err == nil {
		return write(w, run)
	} else if ship.KindOf(err) != ship.NotFound {
		return err
	}
	req, err := s.request(r.Context(), in)
	if err != nil {
		return err
	}
	if err := s.asks(r, ofRun(req)); err != nil {
		return err
	}
	run, err := s.Desk.Ask(r.Context(), req, in.Queue)
	if err != nil {
		return err
	}
	came(r, "run "+run.ID+" "+string(run.Status))
	return write(w, run)
}

func (s *server) runs(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	limit, _ := strconv.Atoi(cmp.Or(q.Get("limit"), "50"))
	all, err := s.Store.Runs(r.Context(), ship.RunFilter{App: q.Get("app"), Env: q.Get("env"), Open: q.Get("open") != "", Limit: limit})
	if err != nil {
		return err
	}
	return write(w, all)
}

func (s *server) run(w http.ResponseWriter, r *http.Request) error {
	run, err := s.Store.Run(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	entries, err := s.Store.Journal(r.Context(), run.ID)
	if err != nil {
		return err
	}
	return write(w, wire.Journal{Run: run, Entries: entries})
}

// events writes a run's events, one JSON object a line, until the run has
// ended or waits for a person.
func (s *server) events(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc, flush := json.NewEncoder(w), http.NewResponseController(w)
	for {
		changed := s.Store.Changed()
		run, err := s.Store.Run(r.Context(), id)
		if err != nil {
			return err
		}
		list, err := s.Store.Events(r.Context(), run.ID, after)
		if err != nil {
			return err
		}
		for _, e := range list {
			if err := enc.Encode(e); err != nil {
				return fmt.Errorf("write event: %w", err)
			}
			after = e.Seq
		}
		if err := flush.Flush(); err != nil {
			return fmt.Errorf("write event: %w", err)
		}
		if run.Status.Ended() || run.Status == ship.Paused || r.URL.Query().Get("follow") == "" {
			return nil
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-changed:
		}
	}
}

func (s *server) signal(w http.ResponseWriter, r *http.Request) error {
	var in wire.NewSignal
	if err := read(r, &in); err != nil {
		return err
	}
	run, err := s.Store.Run(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := s.asks(r, wish{in.Name, run.Request.Environment.ID, in.By, strings.TrimSpace(fmt.Sprintf("run %s %s %s", run.ID, in.Migration, in.As))}); err != nil {
		return err
	}
	if run.Status == ship.Queued {
		ended, err := s.signalQueued(r.Context(), run, in)
		if err != nil {
			return err
		}
		if ended {
			return write(w, run)
		}
	}
	sig := ship.Signal{Name: in.Name, By: in.By}
	switch in.Name {
	case "cancel", "resume":
	case "resolve":
		if !slices.ContainsFunc(run.Plan.Migrations, func(m ship.Migration) bool { return m.ID == in.Migration }) {
			return ship.Errorf(ship.NotFound, "shiplock explain "+run.ID, "run %s does not apply %q", run.ID, in.Migration)
		}
		sig.Name, sig.Data = "resolve:"+in.Migration, in.As
	default:
		return ship.Errorf(ship.Invalid, "", "no signal %q", in.Name)
	}
	if err := s.Store.Signal(r.Context(), run.ID, sig); err != nil {
		return err
	}
	s.Start(run.ID)
	return write(w, run)
}

// signalQueued ends a run that waits, and tells whether it still did. It has
// done nothing that there could be another word about.
func (s *server) signalQueued(ctx context.Context, run ship.Run, in wire.NewSignal) (bool, error) {
	if in.Name != "cancel" {
		return false, ship.Errorf(ship.Invalid, "shiplock abort "+run.ID, "run %s waits for its turn: it can be aborted, nothing else", run.ID)
	}
	return s.Desk.Abort(ctx, run, in.By)
}
