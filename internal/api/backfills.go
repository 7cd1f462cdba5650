package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// backfills says how far the backfills of a release are; release 0 is the one
// that serves, also while its own run is still at them. With Pause they are
// paused: by the run that is at them, or here.
func (s *server) backfills(w http.ResponseWriter, r *http.Request) error {
	var in wire.Backfills
	if err := read(r, &in); err != nil {
		return err
	}
	ctx, id := r.Context(), in.Environment.ID
	open, err := s.Store.Runs(ctx, ship.RunFilter{App: id.App, Env: id.Name, Open: true, Limit: 1})
	if err != nil {
		return err
	}
	if in.Release == 0 && len(open) > 0 && s.Desk.AtBackfill(ctx, open[0]) {
		in.Release = open[0].Request.Release.Number
	}
	rel, err := s.serving(ctx, id, in.Release)
	if err != nil {
		return err
	}
	req := ship.Request{Verb: "backfill", Environment: in.Environment, Release: rel, By: in.By}
	if in.Pause {
		if err := s.asks(r, wish{"pause backfill", id, in.By, fmt.Sprintf("v%d", rel.Number)}); err != nil {
			return err
		}
		if len(open) == 0 {
			err = s.Engine.PauseBackfills(ctx, req, in.By)
		} else {
			err = s.Desk.MakeWay(ctx, open[0], ship.Signal{Name: deploy.PauseBackfill, By: in.By})
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
