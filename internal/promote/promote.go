// Package promote takes wishes for runs: it gathers the facts, has package
// pipeline judge them, and records what follows, a run that begins or one that
// waits. It gives those that wait their turn, and records the promotions that
// follow a run by themselves. It refuses to know how a run is carried out: that
// somebody does is all it asks for.
package promote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/shiplock/shiplock/internal/pipeline"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/store"
)

// Config is what a [Desk] is made of.
type Config struct {
	Store *store.Store
	// Start has somebody carry a run out; it does not wait.
	Start func(run string)
	Now   func() time.Time // default time.Now
	Log   *slog.Logger
}

// A Desk decides which runs begin, and which wait.
type Desk struct{ Config }

// New returns a desk.
func New(c Config) (*Desk, error) {
	if c.Store == nil || c.Start == nil {
		return nil, errors.New("promote: store and start are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Desk{c}, nil
}

// Ask records a wish as a run. One that may not begin now is refused, with what
// it would wait for; with queue it waits for that. Who asks again with the same
// key gets the same run.
func (d *Desk) Ask(ctx context.Context, wish ship.Request, queue bool) (ship.Run, error) {
	judged, err := d.Judge(ctx, wish)
	if err != nil {
		return ship.Run{}, err
	}
	queue = queue && pipeline.MayWait(wish)
	switch {
	case judged.Outcome == ship.Fail, judged.Outcome == ship.Wait && !judged.Held && !queue:
		return ship.Run{}, judged.Err()
	case judged.Outcome == ship.Wait && !judged.Held:
		return d.add(ctx, wish, judged.Reason)
	}
	run, err := d.addOrClear(ctx, wish) // which knows best who has the environment
	switch {
	case ship.KindOf(err) != ship.Locked || !pipeline.MayWait(wish):
		return run, err
	case queue && judged.Held:
		return d.add(ctx, wish, judged.Reason)
	case queue:
		return d.add(ctx, wish, "somebody was quicker")
	}
	return run, ship.Errorf(ship.Locked, ship.HintOf(err)+"; or have it wait for its turn: --queue", "%w", err)
}

// add records a wish, and has it carried out unless it waits.
func (d *Desk) add(ctx context.Context, wish ship.Request, waits string) (ship.Run, error) {
	opening := ship.Plan{Schema: ship.PlanSchema, Environment: wish.Environment.ID, Verb: wish.Verb, To: wish.Release, Steps: plan.Opening()}
	run, err := d.Store.Add(ctx, store.Wish{Request: wish, Plan: opening, Waits: waits, Supersedes: pipeline.Supersedes(wish)})
	if err == nil && run.Status == ship.Planned {
		d.Start(run.ID)
	}
	return run, err
}

// Judge says whether a wish may begin.
func (d *Desk) Judge(ctx context.Context, wish ship.Request) (pipeline.Decision, error) {
	f, err := d.facts(ctx, wish)
	if err != nil {
		return pipeline.Decision{}, err
	}
	return pipeline.Decide(wish, f), nil
}

func (d *Desk) facts(ctx context.Context, wish ship.Request) (f pipeline.Facts, err error) {
	env := wish.Environment
	f.Now = d.Now()
	if f.Lock, err = d.Store.LockOf(ctx, env.ID, f.Now); err != nil {
		return f, err
	}
	if f.Here, err = d.history(ctx, env.ID); err != nil || env.After == "" {
		return f, err
	}
	f.Below, err = d.history(ctx, ship.EnvironmentID{App: env.ID.App, Name: env.After})
	return f, err
}

func (d *Desk) history(ctx context.Context, env ship.EnvironmentID) (h pipeline.History, err error) {
	if h.Deployed, err = d.Store.DeployedIn(ctx, env); err != nil {
		return h, err
	}
	h.Open, err = d.open(ctx, env)
	return h, err
}

// open returns the run that has an environment, or nil.
func (d *Desk) open(ctx context.Context, env ship.EnvironmentID) (*ship.Run, error) {
	open, err := d.Store.Runs(ctx, ship.RunFilter{App: env.App, Env: env.Name, Open: true, Limit: 1})
	if err != nil || len(open) == 0 {
		return nil, err
	}
	return &open[0], nil
}

// Candidate returns the release that is to be promoted to an environment: the
// one that serves where its releases come from.
func (d *Desk) Candidate(ctx context.Context, to ship.Environment) (ship.Release, error) {
	if to.After == "" {
		return ship.Release{}, ship.Errorf(ship.Invalid, "shiplock deploy "+to.ID.Name, "%s comes after no environment: nothing is promoted to it", to.ID.Name)
	}
	below, err := d.history(ctx, ship.EnvironmentID{App: to.ID.App, Name: to.After})
	if err != nil {
		return ship.Release{}, err
	}
	if o := below.Open; o != nil && o.Request.Verb != ship.VerbMigrate {
		hint := fmt.Sprintf("shiplock watch %s; or name the release: --release v%d", o.ID, o.Request.Release.Number)
		return ship.Release{}, ship.Errorf(ship.Locked, hint, "%s is changing: run %s (%s v%d) is %s", to.After, o.ID, o.Request.Word(), o.Request.Release.Number, o.Status)
	}
	if len(below.Deployed) == 0 {
		return ship.Release{}, ship.Errorf(ship.Refused, "shiplock deploy "+to.After, "nothing has served %s, which %s comes after", to.After, to.ID.Name)
	}
	return d.Store.Release(ctx, to.ID.App, below.Deployed[0].Release)
}

// Abort ends a run that waits, and tells whether it still did.
func (d *Desk) Abort(ctx context.Context, run ship.Run, by string) (bool, error) {
	return d.end(ctx, run, ship.Result{Status: ship.Aborted, Kind: ship.Interrupted, Reason: "aborted by " + by + " while it waited"})
}

// end ends a run that waits, and tells whether it still did.
func (d *Desk) end(ctx context.Context, run ship.Run, r ship.Result) (bool, error) {
	all, err := d.Store.DeployedIn(ctx, run.Request.Environment.ID)
	if err != nil {
		return false, err
	}
	if len(all) > 0 {
		r.Serving = all[0].Release
	}
	return d.Store.EndQueued(ctx, run.ID, r)
}
