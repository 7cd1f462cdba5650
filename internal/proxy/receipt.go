package proxy

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// protocols is how many there are.
const protocols = 4

// rank is the place of a protocol in lists by protocol.
func rank(p ship.Protocol) int { return max(slices.Index(ship.AllProtocols(), p), 0) }

// An ending counts how requests of one protocol ended.
type ending struct{ drained, closed, cut atomic.Int64 }

func (e *ending) count(cut, closed bool) {
	switch {
	case cut:
		e.cut.Add(1)
	case closed:
		e.closed.Add(1)
	default:
		e.drained.Add(1)
	}
}

// A flow counts the requests of an environment over all tables and
// generations, by how they ended.
type flow struct{ admitted, finished, lost, cut, givenUp atomic.Int64 }

// A baseline is what was counted up to a swap.
type baseline struct {
	endings                           [protocols]ship.Ending
	inside                            int64 // in flight at the swap
	admitted, finished, lost, givenUp int64
}

// baseline notes what was counted up to now; env is nil when it left the table.
func (g *generation) baseline(env *environment) baseline {
	b := baseline{inside: g.requests.inside.Load()}
	if env != nil {
		g.flow = env.flow
		b.admitted, b.finished = env.flow.admitted.Load(), env.flow.finished.Load()
		b.lost, b.givenUp = env.flow.lost.Load(), env.flow.givenUp.Load()
	}
	b.endings = g.ended() // after the flow, see [exchange.count]
	return b
}

func (g *generation) ended() [protocols]ship.Ending {
	var all [protocols]ship.Ending
	for i := range g.endings {
		e := &g.endings[i]
		all[i] = ship.Ending{Drained: e.drained.Load(), Closed: e.closed.Load(), Cut: e.cut.Load()}
	}
	return all
}

// drained reports how far the drain is; the caller holds Proxy.mu.
func (g *generation) drained() DrainReport {
	r := DrainReport{Protocols: map[ship.Protocol]ship.Ending{}, Left: g.left()}
	ended := g.ended()
	for i, p := range ship.AllProtocols() {
		before := g.atSwap.endings[i]
		e := ship.Ending{Drained: ended[i].Drained - before.Drained, Closed: ended[i].Closed - before.Closed, Cut: ended[i].Cut - before.Cut}
		if e == (ship.Ending{}) {
			continue
		}
		r.Protocols[p] = e
		r.Drained += e.Drained + e.Closed
		r.Cut += e.Cut
		if p != ship.HTTP {
			r.Lasting += e.Cut
		}
	}
	r.InFlight = r.Drained + r.Cut + g.requests.inside.Load()
	if !g.swapped.IsZero() {
		r.Took = time.Since(g.swapped)
	}
	if f := g.flow; f != nil {
		r.Admitted = f.admitted.Load() - g.atSwap.admitted + g.atSwap.inside
		r.Finished = f.finished.Load() - g.atSwap.finished
		r.Lost, r.GivenUp = f.lost.Load()-g.atSwap.lost, f.givenUp.Load()-g.atSwap.givenUp
	}
	return r
}

// left returns the requests in flight by protocol.
func (g *generation) left() map[ship.Protocol]int64 {
	left := map[ship.Protocol]int64{}
	plain := g.requests.inside.Load()
	for i, p := range ship.AllProtocols() {
		if n := g.lastings[i].Load(); n > 0 {
			left[p] = n
			plain -= n
		}
	}
	if plain > 0 {
		left[ship.HTTP] = plain
	}
	return left
}

func (g *generation) lastingOf(p ship.Protocol) *atomic.Int64 { return &g.lastings[rank(p)] }
