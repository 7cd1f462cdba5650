package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shiplock/shiplock/internal/health"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// pollEvery is how often the platform is asked how far it is.
const pollEvery = 100 * time.Millisecond

// firstPoll is when it is asked a second time what is mostly done at once.
const firstPoll = 3 * time.Millisecond

// startEvidence says where the release was started.
type startEvidence struct {
	Slot   ship.Slot `json:"slot"`
	Reused bool      `json:"reused"`
}

// start starts the release in the idle slot. A slot that still runs the same
// release with the same settings, as after a swap that is taken back, is used
// as it is.
func start(ctx context.Context, w *work) (string, any, error) {
	slot, err := w.candidate(ctx)
	if err != nil {
		return "", nil, err
	}
	obs, err := w.platform.Observe(ctx, w.env())
	if err != nil {
		return "", nil, err
	}
	ev := startEvidence{Slot: slot}
	if err := w.e.Journal.Note(ctx, w.run.ID, w.seq, ev); err != nil {
		return "", nil, err
	}
	if ev.Reused = w.warm(ctx, obs.Slots[slot]); ev.Reused {
		return fmt.Sprintf("%s still runs v%d", slot, w.run.Request.Release.Number), ev, nil
	}
	if err := w.platform.Start(ctx, w.fence, w.spec, slot); err != nil {
		return "", ev, err
	}
	return fmt.Sprintf("%s: %s", slot, w.instances(ctx, slot)), ev, nil
}

// warm tells whether a slot runs the wanted release with the wanted settings.
func (w *work) warm(ctx context.Context, s platform.SlotStatus) bool {
	if s.Release.Artifact.Digest != w.run.Request.Release.Artifact.Digest || len(s.Instances) == 0 {
		return false
	}
	web := slices.IndexFunc(s.Instances, func(i platform.Instance) bool { return i.Process == ship.Web && i.State != "running" })
	starter, err := w.e.Journal.Run(ctx, s.Run)
	return web < 0 && err == nil && sameSettings(starter.Request.Environment, w.run.Request.Environment)
}

func sameSettings(a, b ship.Environment) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && string(x) == string(y)
}

func (w *work) instances(ctx context.Context, slot ship.Slot) string {
	obs, err := w.platform.Observe(ctx, w.env())
	if err != nil {
		return err.Error()
	}
	text := ""
	for _, i := range obs.Slots[slot].Instances {
		if text != "" {
			text += ", "
		}
		if i.PID == 0 { // a worker begins when the old one has ended
			text += i.ID + " follows the shift"
			continue
		}
		text += fmt.Sprintf("%s pid %d", i.ID, i.PID)
	}
	return text
}

// targets returns what is to be probed in the candidate slot.
func (w *work) targets(ctx context.Context) ([]health.Target, error) {
	slot, err := w.candidate(ctx)
	if err != nil {
		return nil, err
	}
	return w.targetsIn(ctx, slot, w.run.Request.Environment)
}

// probeHost is whom a probe asks for.
func probeHost(env ship.Environment) string {
	if env.Health.Host == "" && len(env.Route.Hosts) > 0 {
		return env.Route.Hosts[0]
	}
	return env.Health.Host
}

// targetsIn returns what is to be probed in a slot whose release was deployed
// with the given settings.
func (w *work) targetsIn(ctx context.Context, slot ship.Slot, env ship.Environment) ([]health.Target, error) {
	obs, err := w.platform.Observe(ctx, w.env())
	if err != nil {
		return nil, err
	}
	host := probeHost(env)
	var out []health.Target
	for _, i := range obs.Slots[slot].Instances {
		if i.Process == ship.Web {
			out = append(out, health.Target{Address: i.Address, Path: env.Health.Path, Host: host, Timeout: env.Health.Timeout})
		}
	}
	if len(out) == 0 {
		return nil, ship.Errorf(ship.Failed, "shiplock logs "+w.env().Name, "no web instance runs in slot %s", slot)
	}
	return out, nil
}

// gone says which web instance of the candidate has ended, or "".
func (w *work) gone(ctx context.Context) func() string {
	return func() string {
		slot, err := w.candidate(ctx)
		if err != nil {
			return ""
		}
		obs, err := w.direct.Observe(ctx, w.env())
		if err != nil {
			return ""
		}
		for _, i := range obs.Slots[slot].Instances {
			if i.Process == ship.Web && i.Exit != "" && i.Restarts >= 3 {
				return fmt.Sprintf("%s ended %d times, the last time with %s", i.ID, i.Restarts, i.Exit)
			}
		}
		return ""
	}
}

func healthy(ctx context.Context, w *work) (string, any, error) {
	targets, err := w.targets(ctx)
	if err != nil {
		return "", nil, err
	}
	h := w.run.Request.Environment.Health
	if left, held := w.left(0.25); held {
		h.GiveUp = max(min(h.GiveUp, left), time.Second) // the rest is for the way back
	}
	begun := time.Now()
	err = health.Wait(ctx, targets, health.Settings{HealthyAfter: h.HealthyAfter, Every: h.Every, GiveUp: h.GiveUp, Exited: w.gone(ctx)}, w.progress(ctx))
	if err != nil {
		return "", nil, w.candidateFailed(err)
	}
	return fmt.Sprintf("%d of %d instances healthy after %s", len(targets), len(targets), time.Since(begun).Round(time.Millisecond)), nil, nil
}

func (w *work) candidateFailed(err error) error {
	return &ship.Error{Kind: ship.Failed, Hint: "shiplock logs " + w.env().Name + " --run " + w.run.ID, Err: err}
}

func warmup(ctx context.Context, w *work) (string, any, error) {
	targets, err := w.targets(ctx)
	if err != nil {
		return "", nil, err
	}
	r := health.Warm(ctx, targets, w.run.Request.Environment.Warmup, health.Bounds{}, w.progress(ctx))
	for _, problem := range r.Problems {
		w.event(ctx, ship.EventNote, problem, nil)
	}
	return r.String(), nil, ctx.Err()
}

func smoke(ctx context.Context, w *work) (string, any, error) {
	targets, err := w.targets(ctx)
	if err != nil {
		return "", nil, err
	}
	n := 0
	for _, t := range targets {
		for _, path := range w.run.Request.Environment.Smoke {
			t.Path = path
			if r := health.Probe(ctx, t); !r.OK && (r.Status < 300 || r.Status > 399) {
				return "", nil, w.candidateFailed(fmt.Errorf("smoke probe %s of %s: %s", path, t.Address, r.Explain))
			}
			n++
		}
	}
	return fmt.Sprintf("%d of %d probes", n, n), nil, nil
}

func shift(ctx context.Context, w *work) (string, any, error) {
	var p plan.ShiftParams
	if err := w.params(&p); err != nil {
		return "", nil, err
	}
	slot, err := w.candidate(ctx)
	if err != nil {
		return "", nil, err
	}
	env := w.run.Request.Environment
	begun := time.Now()
	if err := w.platform.Shift(ctx, w.fence, w.env(), platform.Shift{
		To: slot, Drain: env.Drain, LongLivedDrain: env.LongLivedDrain, Watch: p.Watch, KeepOld: env.KeepOld, Stages: p.Stages, Sticky: env.Sticky, NoWayBack: p.NoWayBack,
	}); err != nil {
		return "", nil, err
	}
	if len(p.Stages) > 0 {
		return fmt.Sprintf("%g %% of the requests go to %s", p.Stages[0].Percent, slot), nil, nil
	}
	return fmt.Sprintf("%s serves after %s", slot, time.Since(begun).Round(time.Millisecond)), nil, nil
}

// shifted tells whether the switch was made and taken back again by the
// platform's own guard, which is for Watch to tell. Otherwise the platform is
// asked once more: it may have recorded the switch and have been cut off before
// it was in force.
func shifted(ctx context.Context, w *work) (bool, error) {
	obs, err := w.platform.Observe(ctx, w.env())
	if err != nil {
		return false, err
	}
	return obs.Watch != nil && obs.Watch.Run == w.run.ID && obs.Watch.Back, nil
}

// unshift gives traffic back to the slot that served before. There is none
// after a first deployment: then the new release goes on serving.
func unshift(ctx context.Context, w *work) (string, any, error) {
	slot, err := w.candidate(ctx)
	if err != nil {
		return "", nil, err
	}
	obs, err := w.platform.Observe(ctx, w.env())
	if err != nil {
		return "", nil, err
	}
	old := obs.Slots[slot.Other()]
	staged := obs.Watch != nil && obs.Watch.Run == w.run.ID && obs.Watch.Percent > 0
	if obs.Active != slot && !staged || w.run.Plan.From == nil {
		return "", nil, nil
	}
	if len(old.Instances) == 0 {
		return "", nil, ship.Errorf(ship.Failed, "shiplock rollback "+w.env().Name, "the old release no longer runs")
	}
	env := w.run.Request.Environment
	err = w.insist(ctx, func() error {
		return w.platform.Shift(ctx, w.fence, w.env(), platform.Shift{To: slot.Other(), Drain: env.Drain, LongLivedDrain: env.LongLivedDrain})
	})
	if ship.KindOf(err) == ship.RolledBack {
		err = nil // the platform's guard was quicker
	}
	return fmt.Sprintf("v%d serves again", old.Release.Number), nil, err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return errors.Join(ctx.Err(), context.Cause(ctx))
	case <-t.C:
		return nil
	}
}
