package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// wayTime is how long a run that is at its backfill has to end after its batch.
const wayTime = 15 * time.Second

// backfills says how far the backfills of a release are; release 0 is the one
// that serves. With Pause they are paused: by the run that is at them, or here.
func (s *server) backfills(w http.ResponseWriter, r *http.Request) error {
	var in wire.Backfills
	if err := read(r, &in); err != nil {
		return err
	}
	ctx, id := r.Context(), in.Environment.ID
	rel, err := s.serving(ctx, id, in.Release)
	if err != nil {
		return err
	}
	req := ship.Request{Verb: "backfill", Environment: in.Environment, Release: rel, By: in.By}
	open, err := s.Store.Runs(ctx, ship.RunFilter{App: id.App, Env: id.Name, Open: true, Limit: 1})
	if err != nil {
		return err
	}
	if in.Pause {
		if err := s.asks(r, wish{"pause backfill", id, in.By, fmt.Sprintf("v%d", rel.Number)}); err != nil {
			return err
		}
		if len(open) == 0 {
			err = s.Engine.PauseBackfills(ctx, req, in.By)
		} else {
			err = s.makeWay(ctx, open[0], ship.Signal{Name: deploy.PauseBackfill, By: in.By})
		}
		if err != nil {
			return err
		}
	}
	all, err := s.Engine.Backfills(ctx, req)
	if err != nil {
		return err
	}
	in.Release = rel.Number
	for _, b := range all {
		p := b.Kept
		in.Backfills = append(in.Backfills, wire.Backfill{
			Name: b.Name, Table: b.Table, Status: p.Status, Note: p.Note, Rows: p.Rows, Seen: p.Seen, Total: p.Total,
			Rate: p.Rate, Size: p.Size, Pass: p.Pass, Run: p.Run, At: p.At,
			Changed: p.Touched() && p.Checksum != b.Checksum,
		})
	}
	return write(w, in)
}

// serving returns a release; number 0 is the one that came to serve last.
func (s *server) serving(ctx context.Context, id ship.EnvironmentID, number int) (ship.Release, error) {
	if number == 0 {
		all, err := s.Store.DeployedIn(ctx, id)
		if err != nil {
			return ship.Release{}, err
		}
		if len(all) == 0 {
			return ship.Release{}, ship.Errorf(ship.NotFound, "shiplock deploy "+id.Name, "nothing serves %s", id)
		}
		number = all[0].Release
	}
	return s.Store.Release(ctx, id.App, number)
}

// makeWay has a run that is at its backfill end after the batch under way; its
// cursor is kept, and the next run goes on from there. Another run is left
// alone.
func (s *server) makeWay(ctx context.Context, run ship.Run, sig ship.Signal) error {
	if !s.atBackfill(ctx, run) {
		return ship.Errorf(ship.Locked, "shiplock watch "+run.ID, "run %s is under way and not at a backfill", run.ID)
	}
	if err := s.Store.Signal(ctx, run.ID, sig); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, wayTime)
	defer cancel()
	for {
		changed := s.Store.Changed()
		now, err := s.Store.Run(ctx, run.ID)
		if err != nil || now.Status.Ended() {
			return err
		}
		select {
		case <-ctx.Done():
			return ship.Errorf(ship.Locked, "shiplock watch "+run.ID, "run %s has not ended its batch in %s", run.ID, wayTime)
		case <-changed:
		}
	}
}

// atBackfill tells whether the last step a run began is a backfill that has not
// ended.
func (s *server) atBackfill(ctx context.Context, run ship.Run) bool {
	entries, err := s.Store.Journal(ctx, run.ID)
	if err != nil || len(entries) == 0 {
		return false
	}
	last := entries[len(entries)-1]
	return run.Status == ship.Running && last.Name == plan.Backfill && last.State == ship.StepStarted
}

// add records a run. A backfill never keeps an environment from being deployed
// to, least of all from going back: it makes way, and is carried on later.
func (s *server) add(ctx context.Context, req ship.Request, opening ship.Plan) (ship.Run, error) {
	run, err := s.Store.AddRun(ctx, req, opening)
	if ship.KindOf(err) != ship.Locked || req.Options.Backfill != "" || req.Options.Contract {
		return run, err
	}
	id := req.Environment.ID
	open, lerr := s.Store.Runs(ctx, ship.RunFilter{App: id.App, Env: id.Name, Open: true, Limit: 1})
	if lerr != nil || len(open) == 0 || !s.atBackfill(ctx, open[0]) {
		return run, err
	}
	if err := s.makeWay(ctx, open[0], ship.Signal{Name: deploy.PauseBackfill, By: req.By, Data: req.Verb}); err != nil {
		return run, err
	}
	return s.Store.AddRun(ctx, req, opening)
}
