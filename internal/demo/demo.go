// Package demo shows shiplock at work with nothing but its own binary: a
// sample shop, releases of it that are good and bad, a load, and claims that
// are checked. It knows the shop and the timeline. It refuses to know how a
// deployment is carried out: that is the [Engine]'s.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/shiplock/shiplock/internal/load"
	"github.com/shiplock/shiplock/internal/ship"
)

// An Engine deploys for the demonstration.
type Engine interface {
	// Deploy packs the folder, deploys it to Environment and returns how the
	// run ended, not before its watch is over. A refusal may be a Result or an
	// error of kind Refused.
	Deploy(ctx context.Context, dir string) (ship.Result, error)
}

// Options are the settings of a demonstration.
type Options struct {
	Place  Place
	Rate   float64       // requests a second; default 100
	Steady time.Duration // plain load before the first change and after the last; default 3s
	Break  string        // "errors", "slow" or "migration": show this failure only; "" is all
}

// Run writes the releases, deploys them one after the other under load, and
// says what came of it. Lines for people go to out as things happen. An error
// means that the demonstration could not be given; a claim that did not hold
// is in the summary.
func Run(ctx context.Context, o Options, e Engine, out io.Writer) (Summary, error) {
	if o.Rate == 0 {
		o.Rate = 100
	}
	if o.Steady == 0 {
		o.Steady = 3 * time.Second
	}
	acts, err := choose(o)
	if err != nil {
		return Summary{}, err
	}
	r := &run{o: o, engine: e, out: out, began: time.Now()}
	if err := r.first(ctx, acts[0]); err != nil {
		return r.summary, err
	}
	r.load, err = load.New(load.Options{
		URL: "http://" + o.Place.Listen, Rate: o.Rate, Timeout: 15 * time.Second, Workers: 256, KeepAlive: true,
		Requests: []load.Request{
			{Path: "/", Weight: 5},
			{Path: "/products", Weight: 4},
			{Method: "POST", Path: "/orders", Body: `{"id": "$ID", "product": 1}`},
		},
	})
	if err != nil {
		return r.summary, err
	}
	loadCtx, stop := context.WithCancel(ctx)
	ended := make(chan load.Snapshot, 1)
	go func() { ended <- r.load.Run(loadCtx) }()
	err = r.perform(ctx, acts[1:])
	stop()
	total := <-ended
	if err != nil {
		return r.summary, err
	}
	return r.summary, r.conclude(ctx, total)
}

// choose writes the releases and picks those that are shown.
func choose(o Options) ([]Release, error) {
	all, err := Releases(o.Place)
	if err != nil || o.Break == "" {
		return all, err
	}
	shown := map[string]string{"errors": "v3", "slow": "v4", "migration": "v5"}[o.Break]
	if shown == "" {
		return nil, ship.Errorf(ship.Invalid, "shiplock demo --break errors", "demo: %q is none of errors, slow, migration", o.Break)
	}
	all = slices.DeleteFunc(all, func(r Release) bool { return r.Name > "v2" && r.Name != shown })
	for i := range all {
		all[i].Name = fmt.Sprintf("v%d", i+1) // the number its deployment gives it
	}
	return all, nil
}

// A run is one demonstration under way.
type run struct {
	o       Options
	engine  Engine
	out     io.Writer
	began   time.Time
	load    *load.Load
	summary Summary
	faults  int64 // errors that v3 answered by design
}

func (r *run) say(format string, args ...any) {
	_, _ = fmt.Fprintf(r.out, "%4.0f s  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

func (r *run) deploy(ctx context.Context, rel Release) (ship.Result, error) {
	r.summary.Deployments++
	res, err := r.engine.Deploy(ctx, rel.Dir)
	if err != nil && ctx.Err() == nil && res.Kind == "" {
		// A refusal by an error is as good as one by a result.
		if e, ok := errors.AsType[*ship.Error](err); ok && e.Kind == ship.Refused {
			return ship.Result{Kind: e.Kind, Reason: e.Error(), Status: ship.Broken}, nil
		}
	}
	if res.Kind != "" && ctx.Err() == nil {
		return res, nil // the result says it already
	}
	return res, err
}

func (r *run) first(ctx context.Context, rel Release) error {
	r.say("deploy %s: %s", rel.Name, rel.About)
	res, err := r.deploy(ctx, rel)
	if err == nil && res.Kind != "" {
		err = ship.Errorf(res.Kind, res.Next, "deploy %s: %s", rel.Name, res.Reason)
	}
	if err != nil {
		return err
	}
	r.say("%s is live at http://%s, %.0f requests a second from now on", rel.Name, r.o.Place.Listen, r.o.Rate)
	return nil
}

func (r *run) perform(ctx context.Context, acts []Release) error {
	if err := pause(ctx, r.o.Steady); err != nil {
		return err
	}
	for _, rel := range acts {
		before := r.load.Snapshot()
		r.say("deploy %s: %s", rel.Name, rel.About)
		res, err := r.deploy(ctx, rel)
		if err != nil {
			return err
		}
		// What the swap back did to requests shows a moment later.
		if err := pause(ctx, r.o.Steady/3); err != nil {
			return err
		}
		serving, err := r.serving(ctx)
		if err != nil {
			return err
		}
		r.judge(rel, outcome{res, serving, r.load.Snapshot().Since(before)})
	}
	return pause(ctx, r.o.Steady)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
