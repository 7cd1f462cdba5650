package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// endWatchTime is how long a run may take to end when its watch was ended.
const endWatchTime = time.Minute

// endWatch ends the watch of the environment, if there is one: who wants to go
// back has made up his mind, and need not wait until nothing is found. done
// tells that the guard was quicker and has gone back by itself.
func (s *session) endWatch(ctx context.Context, cl *client.Client, env ship.EnvironmentID, yes bool) (done bool, err error) {
	all, err := cl.Status(ctx, env.App, env.Name)
	if err != nil || len(all) != 1 || all[0].Open == nil {
		return false, err
	}
	open, w := all[0].Open, all[0].Observed.Watch
	if w == nil || w.Run != open.ID || w.Verdict.Outcome != ship.Wait || w.Percent > 0 {
		return false, nil // what is under way refuses by itself
	}
	fmt.Fprintf(s.err, "v%d is watched by %s.\n", open.Request.Release.Number, open.ID)
	if !yes && !s.ask("End its watch, to go back?") {
		return false, ship.Errorf(ship.Invalid, "shiplock rollback "+env.Name+" --yes", "not confirmed, nothing was changed")
	}
	if err := cl.Signal(ctx, open.ID, wire.NewSignal{Name: "resume", By: s.who()}); err != nil {
		return false, err
	}
	for until := time.Now().Add(endWatchTime); time.Now().Before(until); {
		j, err := cl.Run(ctx, open.ID)
		if err != nil {
			return false, err
		}
		if j.Run.Status.Ended() {
			if j.Run.Result.Kind == ship.RolledBack {
				s.summary(s.err, j.Run.Result)
				return true, nil
			}
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	return false, ship.Errorf(ship.Locked, "shiplock watch "+open.ID, "the watch of %s was to end, and the run goes on", open.ID)
}
