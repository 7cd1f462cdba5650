package proxy

import (
	"context"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

const (
	drainPoll = 2 * time.Millisecond
	// cutFor is how long requests that were cut may take to notice it. One that
	// is writing to a client that does not read takes longer, but its connection
	// to the instance is closed by then.
	cutFor = 2 * time.Second
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
	stage := draining
	for {
		report, done, err := p.drainStep(g, stage)
		if done || err != nil {
			return report, err
		}
		select {
		case <-ctx.Done():
			return report, ctx.Err()
		case <-deadline.C:
			if stage++; stage == cutting {
				deadline.Reset(cutFor)
			}
		case <-tick.C:
		}
	}
}

// The stages of a drain.
const (
	draining = iota // requests may end by themselves
	cutting         // they are cut
	leaving         // what is left has no connection to an instance any more
)

// drainStep looks once: it seals g when it is empty or the time is over, and
// cuts what is still inside when the time is over. It is done when nothing of
// g can reach an instance any more.
func (p *Proxy) drainStep(g *generation, stage int) (DrainReport, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g.active {
		return DrainReport{}, false, ship.Errorf(ship.Invalid, "", "generation %s of %s is active and cannot be drained", g.name, g.env)
	}
	if g.report != nil {
		return *g.report, true, nil
	}
	if stage > draining || g.busy() == 0 {
		g.requests.seal()
	}
	if stage > draining && g.busy() > 0 {
		g.cut()
	}
	report := g.drained()
	if !g.requests.sealed.Load() || g.busy() > 0 && stage < leaving {
		return report, false, nil
	}
	report.Cut += g.busy()
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
