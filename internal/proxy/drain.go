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
// have ended, and cuts those that are left when their grace is over: a request
// is answered 504 or broken off. Long-lived ones are asked to end, evenly over
// their own grace, where no message and no event is cut in two. After it
// returned without an error the generation never sees another request but for
// its assets, and its connections are closed. Asked again, it waits for the
// requests for assets. A generation that is not known
// (of an earlier worker, or long gone) is drained already. It fails when the
// generation takes requests, or does so again meanwhile.
func (p *Proxy) Drain(ctx context.Context, env ship.EnvironmentID, name string, grace Grace) (DrainReport, error) {
	p.mu.Lock()
	g := p.generations[key{env, name}]
	p.mu.Unlock()
	if g == nil {
		return DrainReport{}, nil
	}
	d := newDrain(time.Now(), grace)
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for {
		report, done, err := p.drainStep(g, d, time.Now())
		if done || err != nil {
			return report, err
		}
		select {
		case <-ctx.Done():
			return report, ctx.Err()
		case <-tick.C:
		}
	}
}

// EndStreams asks the streams of a generation to end, evenly over a time,
// where nothing is cut in two, although the generation is active: before a
// hold or a maintenance is of any use, what was admitted has to end. It
// returns when none is left or the time is over. It cuts nothing.
func (p *Proxy) EndStreams(ctx context.Context, env ship.EnvironmentID, name string, within time.Duration) {
	p.mu.Lock()
	g := p.generations[key{env, name}]
	p.mu.Unlock()
	if g == nil {
		return
	}
	u := newUsher(time.Now(), within)
	await(ctx, within, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		u.step(time.Now(), g)
		return g.tally.lasting.Load() == 0
	})
}

// A drain is the times of one drain.
type drain struct {
	plain   time.Time // then requests are cut
	lasting time.Time // then streams are cut
	over    time.Time // what is left has no connection to an instance any more
	usher   *usher
}

func newDrain(now time.Time, g Grace) *drain {
	d := &drain{plain: now.Add(g.Requests), lasting: now.Add(g.Lasting), usher: newUsher(now, g.Lasting)}
	d.over = d.lasting.Add(cutFor)
	if d.plain.After(d.lasting) {
		d.over = d.plain.Add(cutFor)
	}
	return d
}

// drainStep looks once: it seals g when it is empty or its time is over, asks
// the streams whose turn it is, and cuts what is inside longer than it may. It
// is done when nothing of g can reach an instance any more.
func (p *Proxy) drainStep(g *generation, d *drain, now time.Time) (DrainReport, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g.active {
		return DrainReport{}, false, ship.Errorf(ship.Invalid, "", "generation %s of %s is active and cannot be drained", g.name, g.env)
	}
	if g.report != nil {
		return *g.report, g.assets.inside.Load() == 0 || !now.Before(d.plain), nil
	}
	late, lateStreams := !now.Before(d.plain), !now.Before(d.lasting)
	if late || g.busy() == 0 {
		g.requests.seal()
	}
	d.usher.step(now, g)
	if late || lateStreams {
		g.cutOff(func(ex *exchange) bool {
			if ex.protocol() == ship.HTTP {
				return late
			}
			return lateStreams
		})
	}
	if late && lateStreams && g.busy() > 0 {
		g.cut()
	}
	report := g.drained()
	if !g.requests.sealed.Load() || g.busy() > 0 && now.Before(d.over) {
		return report, false, nil
	}
	report.stuck()
	g.closeIdle()
	g.report = &report
	return report, true, nil
}

// stuck counts as cut what is writing to a client that does not read.
func (r *DrainReport) stuck() {
	for p, n := range r.Left {
		e := r.Protocols[p]
		e.Cut += n
		r.Protocols[p] = e
		r.Cut += n
		if p != ship.HTTP {
			r.Lasting += n
		}
	}
	r.Left = nil
}
