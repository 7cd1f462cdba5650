// Package simulate feeds the product's own evaluator with invented traffic, to
// see how soon it rolls a bad release back and how seldom a good one. It knows
// chances and a seed; it refuses to know how evidence is weighed.
package simulate

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/ship"
)

// A Scenario is traffic and what is wrong with the release.
type Scenario struct {
	Limits ship.Limits
	Rate   float64 // requests a second, on both releases together
	Fails  float64 // chance that a request fails on the new release
	Slow   float64 // chance that one that does not fail is slow

	Good  int64   // so many requests go by first
	Fine  float64 // of which so large a share fails
	Share float64 // of the requests the new release gets; 0 is all
	Old   float64 // chance that a request fails on the old release

	Outage Outage // both releases have
	// Burst is the mean number of failures that come together, from one
	// client; 0 is one.
	Burst   float64
	Clients int // that the requests come from, all alike; 0 counts every error, whoever had it
}

// An Outage is a time in which both releases fail alike.
type Outage struct {
	From, For time.Duration
	Fails     float64
}

// A Result is what came of it.
type Result struct {
	Judgement analysis.Judgement
	Requests  int64         // on the new release, after those that went by first
	Failed    int64         // of those
	Took      time.Duration // likewise
}

// Back tells that traffic was given back.
func (r Result) Back() bool { return r.Judgement.Action == analysis.RollBack }

// began is when every simulation begins.
func began() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// Run simulates a watch once. Requests come at random (Poisson); the evaluator
// looks at every error and every second, as in the product.
func Run(seed uint64, sc Scenario) Result {
	m := &machine{
		sc: sc, rand: rand.New(rand.NewPCG(seed, 0x5eed)), now: began(),
		judge: analysis.New(analysis.Config{Limits: sc.Limits, Began: began(), New: "v2", Old: "v1", Split: sc.Share > 0}),
	}
	if sc.Clients > 0 {
		m.clients = analysis.NewClients()
		for i := range max(sc.Clients, 200) { // it knew the crowd before the swap
			m.clients.Observe(address(i%sc.Clients), m.now.Add(-time.Second))
		}
	}
	return m.run()
}

type machine struct {
	sc       Scenario
	rand     *rand.Rand
	judge    *analysis.Evaluator
	clients  *analysis.Clients
	now      time.Time
	new, old analysis.Counts
	burst    int // failures that are still to come together
	whose    netip.Addr
}

func (m *machine) run() Result {
	tick := m.now
	var change time.Time
	var before analysis.Counts
	for {
		m.now = m.now.Add(time.Duration(m.rand.ExpFloat64() / m.sc.Rate * float64(time.Second)))
		for ; !tick.After(m.now); tick = tick.Add(time.Second) {
			if j := m.judge.Look(m.sample(tick)); j.Ended() {
				return m.result(j, change, before, tick)
			}
		}
		if change.IsZero() && m.new.Requests >= m.sc.Good {
			change, before = m.now, m.new
		}
		if m.request(!change.IsZero()) {
			if j := m.judge.Look(m.sample(m.now)); j.Ended() {
				return m.result(j, change, before, m.now)
			}
		}
	}
}

func (m *machine) result(j analysis.Judgement, change time.Time, before analysis.Counts, at time.Time) Result {
	r := Result{Judgement: j, Requests: m.new.Requests - before.Requests, Failed: m.new.Errors - before.Errors}
	if !change.IsZero() {
		r.Took = at.Sub(change)
	}
	return r
}

func (m *machine) sample(at time.Time) analysis.Sample {
	s := analysis.Sample{At: at, New: m.new, Old: m.old, Share: m.sc.Share}
	if m.clients != nil {
		s.Crowd = m.clients.Crowd(at)
	}
	return s
}

// request has one come and tells whether the evaluator has to look.
func (m *machine) request(changed bool) bool {
	client := address(0)
	if m.sc.Clients > 1 {
		client = address(m.rand.IntN(m.sc.Clients))
	}
	if m.clients != nil {
		m.clients.Observe(client, m.now)
	}
	if m.sc.Share > 0 && m.rand.Float64() >= m.sc.Share {
		return m.count(&m.old, client, m.rand.Float64() < m.chance(m.sc.Old), 0)
	}
	fails, slow := m.sc.Fails, m.sc.Slow
	if !changed {
		fails, slow = m.sc.Fine, 0
	}
	failed := m.rand.Float64() < m.chance(fails)/max(m.sc.Burst, 1)
	switch {
	case m.burst > 0:
		m.burst--
		failed, client = true, m.whose
	case failed && m.sc.Burst > 1:
		for m.rand.Float64() > 1/m.sc.Burst {
			m.burst++
		}
		m.whose = client
	}
	return m.count(&m.new, client, failed, slow)
}

// chance is that of a request to fail, now.
func (m *machine) chance(usual float64) float64 {
	if since := m.now.Sub(began()); since >= m.sc.Outage.From && since < m.sc.Outage.From+m.sc.Outage.For {
		return m.sc.Outage.Fails
	}
	return usual
}

func (m *machine) count(c *analysis.Counts, client netip.Addr, failed bool, slow float64) bool {
	c.Requests++
	c.Timed++
	switch {
	case failed:
		c.Errors++
		c.Slow++
		if m.clients == nil || m.clients.Count(client, m.now) {
			c.Counted++
		}
		return true
	case slow > 0 && m.rand.Float64() < slow:
		c.Slow++
		return true
	}
	return false
}

func address(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}
