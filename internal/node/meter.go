package node

import (
	"sync"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// A meter adds up what the proxy's workers count, so that the sums only grow:
// across the generations of a slot, and across workers, each of which begins
// at zero. It begins at zero itself with each supervisor.
type meter struct {
	mu   sync.Mutex
	last map[counted]tallied // what each worker said of each generation last
	past map[place]tallied   // of generations and workers that are gone
}

// A place is what sums are kept of. A slot of "" is all of the environment
// that belongs to no slot.
type place struct {
	env  string
	slot ship.Slot
}

// counted names what one worker counts.
type counted struct {
	pid     int
	started int64
	env     string
	// generation is "" for what belongs to no generation.
	generation string
}

// tallied is a sum of what was counted.
type tallied struct {
	slot             ship.Slot
	counters         proxy.Counters
	held, overflowed int64
}

func (t tallied) plus(o tallied) tallied {
	t.counters = t.counters.Plus(o.counters)
	t.held += o.held
	t.overflowed += o.overflowed
	return t
}

// add takes in what a worker has counted by now.
func (m *meter) add(s proxy.Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last == nil {
		m.last, m.past = map[counted]tallied{}, map[place]tallied{}
	}
	now := map[counted]tallied{}
	for id, env := range s.Environments {
		k := counted{pid: s.PID, started: s.Started.UnixNano(), env: id}
		now[k] = tallied{held: env.Held, overflowed: env.Overflowed}
		for name, g := range env.Generations {
			k.generation = name
			now[k] = tallied{slot: g.Slot, counters: g.Counters}
		}
	}
	for k := range m.last {
		if _, ok := now[k]; !ok && k.pid == s.PID && k.started == s.Started.UnixNano() {
			m.settle(k)
		}
	}
	for k, t := range now {
		m.last[k] = t
	}
}

// end takes what a worker said last as final.
func (m *meter) end(pid int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.last {
		if k.pid == pid {
			m.settle(k)
		}
	}
}

// settle moves what was counted to what is past; mu is held.
func (m *meter) settle(k counted) {
	t := m.last[k]
	at := place{k.env, t.slot}
	m.past[at] = m.past[at].plus(t)
	delete(m.last, k)
}

// sums returns what was counted of each slot, and of each environment under
// the slot "".
func (m *meter) sums() map[place]tallied {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[place]tallied{}
	for at, t := range m.past {
		all[at] = t
	}
	for k, t := range m.last {
		at := place{k.env, t.slot}
		all[at] = all[at].plus(t)
	}
	return all
}
