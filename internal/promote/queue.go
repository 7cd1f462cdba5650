package promote

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/audit"
	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/pipeline"
	"github.com/shiplock/shiplock/internal/ship"
)

// longest is how long the queue is left alone where nothing happens: clocks may
// be set, and what could not be read is read again.
const longest = 30 * time.Second

// Run gives those that wait their turn and records what follows by itself,
// until ctx ends. What it does is recorded as it is done: after a crash it goes
// on where it was.
func (d *Desk) Run(ctx context.Context) error {
	asked := map[string]bool{} // backfills, to make way
	for {
		changed := d.Store.Moved() // before looking, so that nothing is missed
		wait, err := d.look(ctx, asked)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			d.Log.WarnContext(ctx, "the queue could not be looked at, trying again", "error", err)
			wait = time.Second
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// look does what is due, and returns when to look again.
func (d *Desk) look(ctx context.Context, asked map[string]bool) (time.Duration, error) {
	due, err := d.Store.Due(ctx)
	if err != nil {
		return 0, err
	}
	var failed []error // one that fails holds up no other
	for _, run := range due {
		failed = append(failed, d.follow(ctx, run))
	}
	queued, err := d.Store.Runs(ctx, ship.RunFilter{Queued: true})
	next := longest
	for _, run := range queued {
		until, err := d.turn(ctx, run, asked)
		if failed = append(failed, err); !until.IsZero() {
			next = min(next, max(until.Sub(d.Now()), time.Millisecond))
		}
	}
	return next, errors.Join(append(failed, err)...)
}

// follow records the promotions that follow a run which has ended.
func (d *Desk) follow(ctx context.Context, run ship.Run) error {
	if err := failpoint.Hit("promote due"); err != nil {
		return err
	}
	for _, wish := range pipeline.Followers(run) {
		judged, err := d.Judge(ctx, wish)
		if err != nil {
			return err
		}
		if judged.Outcome == ship.Fail {
			d.Log.InfoContext(ctx, "nothing follows", "run", run.ID, "environment", wish.Environment.ID, "why", judged.Reason)
			continue
		}
		waits := judged.Reason
		if judged.Outcome == ship.Pass {
			waits = "it is promoted by itself"
		}
		if err := d.note(ctx, wish); err != nil {
			return err
		}
		if _, err := d.add(ctx, wish, waits); err != nil {
			return err
		}
	}
	return d.Store.Promoted(ctx, run.ID)
}

// note has the audit log say that nobody asked for a promotion, and after whom
// it comes.
func (d *Desk) note(ctx context.Context, wish ship.Request) error {
	_, err := d.Store.AddAudit(ctx, audit.Entry{
		Actor: "shiplock", Says: wish.By, Action: "promote", App: wish.Environment.ID.App, Env: wish.Environment.ID.Name, Outcome: audit.Asked,
		Detail: fmt.Sprintf("v%d %s from %s, by itself: %s", wish.Release.Number, wish.Release.Artifact.Digest, wish.From, wish.Reason),
	})
	return err
}

// turn has a run that waits begin, wait on, or end where it would wait in vain.
// It returns when that may change by itself.
func (d *Desk) turn(ctx context.Context, run ship.Run, asked map[string]bool) (time.Time, error) {
	judged, err := d.Judge(ctx, run.Request)
	if err != nil {
		return time.Time{}, err
	}
	switch judged.Outcome {
	case ship.Pass:
		return time.Time{}, d.begin(ctx, run)
	case ship.Wait:
		if judged.Held {
			err = d.clear(ctx, run, asked)
		}
		return judged.Until, errors.Join(err, d.Store.WaitsFor(ctx, run.ID, judged.Reason))
	case ship.Fail, ship.NoConclusion:
	}
	_, err = d.end(ctx, run, ship.Result{Status: ship.Broken, Kind: judged.Kind, Reason: "refused after it had waited: " + judged.Reason, Next: judged.Next})
	return time.Time{}, err
}

// begin has a run that waits take its turn, unless somebody was quicker.
func (d *Desk) begin(ctx context.Context, run ship.Run) error {
	begun, err := d.Store.Begin(ctx, run.ID)
	if kind := ship.KindOf(err); kind == ship.Locked || kind == ship.NotFound {
		return nil // the end of the one that was is told
	}
	if err != nil {
		return err
	}
	if err := failpoint.Hit("promote begun"); err != nil {
		return err
	}
	d.Start(begun.ID)
	return nil
}
