package proxy

import (
	"context"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

const (
	drainPoll = 2 * time.Millisecond
	// cutFor is how long requests that were cut may take to notice it.
	cutFor = 5 * time.Second
)

// Drain waits until the requests of a generation that is no longer active
// have ended, and cuts those that are left when within is over: long-lived
// ones are closed, others are answered 504 or broken off. After it returned
// without an error the generation never sees another request, and its
// connections are closed. A generation that is not known (of an earlier
// worker, or long gone) is drained already. It fails when the generation is
// the active one, or becomes it again meanwhile.
func (p *Proxy) Drain(ctx context.Context, env ship.EnvironmentID, name string, within time.Duration) (DrainReport, error) {
	p.mu.Lock()
	g := p.generations[key{env, name}]
	p.mu.Unlock()
	if g == nil {
		return DrainReport{}, nil
	}
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	over := false
	var giveUp time.Time
	for {
		report, done, err := p.drainStep(g, over)
		if done || err != nil {
			return report, err
		}
		if over && time.Now().After(giveUp) {
			return report, ship.Errorf(ship.Internal, "", "%d requests of %s (%s) did not end %s after their connections were cut",
				g.busy(), env, name, cutFor)
		}
		select {
		case <-ctx.Done():
			return report, ctx.Err()
		case <-deadline.C:
			over = true
			giveUp = time.Now().Add(cutFor)
		case <-tick.C:
		}
	}
}

// drainStep looks once: it seals g when it is empty or the time is over, and
// cuts what is still inside when the time is over. It is done when g is sealed
// and empty.
func (p *Proxy) drainStep(g *generation, over bool) (DrainReport, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g.active {
		return DrainReport{}, false, ship.Errorf(ship.Invalid, "", "generation %s of %s is active and cannot be drained", g.name, g.env)
	}
	if g.report != nil {
		return *g.report, true, nil
	}
	if over || g.busy() == 0 {
		g.requests.seal()
	}
	if over && g.busy() > 0 {
		g.cut()
	}
	report := g.drained()
	if !g.requests.sealed.Load() || g.busy() > 0 {
		return report, false, nil
	}
	g.transport.CloseIdleConnections()
	g.report = &report
	return report, true, nil
}

// drained reports how far the drain is; the caller holds Proxy.mu.
func (g *generation) drained() DrainReport {
	r := DrainReport{
		InFlight: g.atSwap,
		Cut:      g.tally.cut.Load() - g.cutBefore,
		Lasting:  g.tally.cutLasting.Load() - g.cutLastingBefore,
	}
	if !g.swapped.IsZero() {
		r.Took = time.Since(g.swapped)
	}
	// Requests that the successor refused came in after the swap, and make the
	// number at the swap the smaller one.
	r.Drained = max(r.InFlight-r.Cut-g.busy(), 0)
	return r
}
