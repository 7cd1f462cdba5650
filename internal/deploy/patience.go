package deploy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// mostPause bounds the pause between two looks for a platform that is away.
const mostPause = time.Second

// A patient is a platform that is waited for while it does not answer, as long
// as the time of a step lasts. Every method may be called again, as the seam
// says. Without a bound of time nothing is waited for.
type patient struct {
	platform.Platform
	say func(context.Context, string)
}

// patiently has the calls of a step wait for the platform until the returned
// function is called. What is asked beside the steps, such as whether the claim
// still stands, is never waited for: it asks w.direct.
func (w *work) patiently() (done func()) {
	w.platform = &patient{w.direct, func(ctx context.Context, text string) { w.event(ctx, ship.EventProgress, text, nil) }}
	return func() { w.platform = w.direct }
}

// wait repeats a call until it is answered, and says that it waits.
func (p *patient) wait(ctx context.Context, call func() error) error {
	var since time.Time
	until, bounded := ctx.Deadline()
	for pause := pollEvery; ; pause = min(2*pause, mostPause) {
		err := call()
		if !bounded || ship.KindOf(err) != ship.Unreachable || errors.Is(err, os.ErrPermission) {
			if err == nil && !since.IsZero() {
				p.say(ctx, fmt.Sprintf("the node answers again after %s", time.Since(since).Round(time.Second)))
			}
			return err
		}
		if since.IsZero() {
			since = time.Now()
			p.say(ctx, fmt.Sprintf("the node does not answer since %s, waiting until %s: %v", clock(since), clock(until), err))
		}
		if sleep(ctx, pause) != nil {
			return ship.Errorf(ship.Unreachable, ship.HintOf(err), "the node did not answer from %s to %s: %w", clock(since), clock(time.Now()), err)
		}
	}
}

// clock writes a time of day as the events beside it do.
func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

// Observe implements [platform.Platform].
func (p *patient) Observe(ctx context.Context, env ship.EnvironmentID) (obs platform.Observation, err error) {
	err = p.wait(ctx, func() (err error) { obs, err = p.Platform.Observe(ctx, env); return err })
	return obs, err
}

// Prepare implements [platform.Platform].
func (p *patient) Prepare(ctx context.Context, s platform.Spec) (out platform.Prepared, err error) {
	err = p.wait(ctx, func() (err error) { out, err = p.Platform.Prepare(ctx, s); return err })
	return out, err
}

// Run implements [platform.Platform]: a named command is attached to again,
// one without a name is a query.
func (p *patient) Run(ctx context.Context, s platform.Spec, c platform.Command) (r platform.Result, err error) {
	err = p.wait(ctx, func() (err error) { r, err = p.Platform.Run(ctx, s, c); return err })
	return r, err
}

// Start implements [platform.Platform].
func (p *patient) Start(ctx context.Context, f ship.Fence, s platform.Spec, slot ship.Slot) error {
	return p.wait(ctx, func() error { return p.Platform.Start(ctx, f, s, slot) })
}

// Stop implements [platform.Platform].
func (p *patient) Stop(ctx context.Context, f ship.Fence, env ship.EnvironmentID, slot ship.Slot) error {
	return p.wait(ctx, func() error { return p.Platform.Stop(ctx, f, env, slot) })
}

// Shift implements [platform.Platform].
func (p *patient) Shift(ctx context.Context, f ship.Fence, env ship.EnvironmentID, s platform.Shift) error {
	return p.wait(ctx, func() error { return p.Platform.Shift(ctx, f, env, s) })
}

// SetMode implements [platform.Platform].
func (p *patient) SetMode(ctx context.Context, f ship.Fence, env ship.EnvironmentID, m platform.ModeChange) error {
	return p.wait(ctx, func() error { return p.Platform.SetMode(ctx, f, env, m) })
}

// StopWorkers implements [platform.Platform].
func (p *patient) StopWorkers(ctx context.Context, f ship.Fence, env ship.EnvironmentID) error {
	return p.wait(ctx, func() error { return p.Platform.StopWorkers(ctx, f, env) })
}

// StartWorkers implements [platform.Platform].
func (p *patient) StartWorkers(ctx context.Context, f ship.Fence, env ship.EnvironmentID) error {
	return p.wait(ctx, func() error { return p.Platform.StartWorkers(ctx, f, env) })
}

// insistFor bounds how long the way back is tried again.
const insistFor = time.Minute

// insist tries again what leads back to a state that serves, as long as the
// platform has a fault of its own, such as a full disk, rather than a reason.
func (w *work) insist(ctx context.Context, act func() error) error {
	ctx, cancel := context.WithTimeout(ctx, insistFor)
	defer cancel()
	for {
		err := act()
		if kind := ship.KindOf(err); err == nil || kind != ship.Internal && kind != ship.Unreachable {
			return err
		}
		if sleep(ctx, 2*pollEvery) != nil {
			return err
		}
	}
}
