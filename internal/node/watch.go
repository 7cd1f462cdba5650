package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/health"
	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

const (
	sampleEvery  = 250 * time.Millisecond
	defaultEvery = time.Second // between two health checks
)

// guard watches the slot that has just become active, and gives traffic back
// when the evidence says so. It needs nobody but the node itself. It returns
// when there is a verdict or ctx ends; after a crash it begins again with the
// counters of the proxy, which lives on, and with new health checks.
func (e *environment) guard(ctx context.Context, w watchState) {
	ctx, cancel := context.WithCancel(ctx)
	probes := &prober{e: e, slot: w.Slot}
	var wg sync.WaitGroup
	wg.Go(func() { probes.run(ctx) })
	defer wg.Wait()
	defer cancel()

	judge := analysis.NewPlain(w.Limits, w.Began)
	traffic := counting{}
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		s := e.now()
		slot := s.slot(w.Slot)
		if slot == nil || s.Watch == nil || !s.Watch.Began.Equal(w.Began) || s.Watch.Verdict.Outcome != ship.Wait {
			return // somebody else ended it
		}
		c := traffic.add(e.n.proxies.statuses(ctx), e.id, slot.Generation)
		v := judge.Observe(analysis.PlainSample{
			At: failpoint.Now(), Requests: c.Requests, Errors: c.Errors, P95: c.Latency.Quantile(0.95),
			Probes: probes.read(), Exits: slot.exitsSince(w.Began),
		})
		if ctx.Err() != nil {
			return
		}
		if v.Outcome != ship.Wait {
			if err := e.conclude(ctx, w, v); err == nil || ctx.Err() != nil {
				return
			} else {
				e.complain("a verdict was not carried out", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-e.alarm:
		}
	}
}

// conclude records the verdict and, when it is a failure, gives traffic back to
// the old slot and latches the run. The new slot's instances stay for study.
func (e *environment) conclude(ctx context.Context, w watchState, v ship.Verdict) error {
	unlock, err := e.traffic.take(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	back := false
	err = e.change(func(s *envState) error {
		if s.Watch == nil || !s.Watch.Began.Equal(w.Began) {
			return errUnchanged
		}
		s.Watch.Verdict = v
		if v.Outcome == ship.Fail {
			back = s.giveBack(v.Reason, failpoint.Now())
		}
		return nil
	})
	defer e.poke()
	if err != nil {
		return err
	}
	log := e.n.Log.With("environment", e.id.String(), "run", w.Run, "outcome", string(v.Outcome), "reason", v.Reason)
	if !back {
		log.Info("the watch is over")
		return nil
	}
	log.Error("the new release was taken back")
	for {
		err := e.n.proxies.apply(ctx)
		if err == nil {
			return e.switchWorkers()
		}
		if ctx.Err() != nil {
			return err // the next node applies what is recorded
		}
		e.complain("traffic was not given back yet", err)
		pause(ctx, sampleEvery)
	}
}

// giveBack makes the old slot the active one again, in the state. It tells
// whether there was a way back.
func (e *envState) giveBack(why string, at time.Time) bool {
	w := e.Watch
	old := e.slot(w.Back)
	if e.Active != w.Slot || old == nil || !old.Started {
		w.Verdict.Reason += "; there is no old release to give traffic back to"
		return false
	}
	if e.Latched == nil {
		e.Latched = map[string]string{}
	}
	e.Latched[w.Run] = why
	drain := time.Minute
	if e.Old != nil {
		drain = e.Old.Drain
	}
	e.leave(w.Back, drain, at) // without a time to keep: it stays
	e.ActiveRun, w.Shifted = w.Run, true
	return true
}

// exitsSince says how instances ended after the given time, a clause each.
func (s *slotState) exitsSince(t time.Time) []string {
	var exits []string
	for _, id := range sortedKeys(s.Instances) {
		i := s.Instances[id]
		if i.ExitAt.After(t) {
			exits = append(exits, fmt.Sprintf("%s.%d: %s, %s after the swap", i.Process, i.Number, i.Exit, i.ExitAt.Sub(t).Round(time.Millisecond)))
		}
	}
	return exits
}

// counting adds up what a generation answered, over workers of the proxy that
// each begin at zero, and of which two are alive during an upgrade.
type counting map[time.Time]proxy.Counters // by the worker's start

func (c counting) add(all []proxy.Status, id ship.EnvironmentID, generation string) proxy.Counters {
	for _, s := range all {
		c[s.Started] = s.Environments[id.String()].Generations[generation].Counters
	}
	var sum proxy.Counters
	for _, one := range c {
		sum = sum.Plus(one)
	}
	return sum
}

// A prober asks the instances of a slot for their health, beside the guard, so
// that one that hangs does not keep the guard from looking at the rest.
type prober struct {
	e    *environment
	slot ship.Slot

	mu   sync.Mutex
	seen analysis.Probes
}

func (p *prober) read() analysis.Probes {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

func (p *prober) run(ctx context.Context) {
	for ctx.Err() == nil {
		s := p.e.now().slot(p.slot)
		if s == nil {
			return
		}
		h := s.Spec.Environment.Health
		if h.Path == "" {
			return // nobody said what a good answer is
		}
		if h.Every <= 0 {
			h.Every = defaultEvery
		}
		if h.Host == "" && len(s.Spec.Environment.Route.Hosts) > 0 {
			h.Host = s.Spec.Environment.Route.Hosts[0]
		}
		p.round(ctx, s.addresses(), h)
		pause(ctx, h.Every)
	}
}

// round asks every instance once. The round is as good as its worst answer.
func (p *prober) round(ctx context.Context, addresses []string, h ship.Health) {
	results := make([]health.Result, len(addresses))
	var wg sync.WaitGroup
	for i, a := range addresses {
		wg.Go(func() {
			results[i] = health.Probe(ctx, health.Target{Address: a, Path: h.Path, Host: h.Host, Timeout: h.Timeout})
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return // an answer that nobody waited for says nothing
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	bad := ""
	for _, r := range results {
		p.seen.Sent++
		if r.OK {
			p.seen.Healthy++
		} else {
			bad = r.Explain
		}
	}
	if bad == "" {
		p.seen.Failing = 0
		return
	}
	p.seen.Failing++
	p.seen.Last = bad
	p.e.raise() // it may be the one too many
}
