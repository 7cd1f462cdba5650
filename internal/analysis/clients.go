package analysis

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

const (
	burstWindow  = 10  // seconds
	burstCap     = 3   // errors of one client in them that count
	crowdClients = 20  // fewer are no crowd
	crowdShare   = 0.2 // nor is one that a single client makes so much of
	clientSlots  = 4096
	clientProbes = 8 // slots in which a client is looked for
	crowdFresh   = 100 * time.Millisecond
)

// A Crowd says who the requests of the last ten seconds came from.
type Crowd struct {
	Clients int     `json:"clients"` // distinct ones; at most 4096 are told apart
	Top     float64 `json:"top"`     // share of the requests of the one with the most
	Capping bool    `json:"capping,omitempty"`
}

// Clients decides which errors count: at most 3 of a client in 10 seconds, so
// that one client in a loop cannot take a release back. That holds only for one
// among many: with fewer than 20 clients, or one that makes more than a fifth
// of the requests, every error counts, or else a single proxy or load generator
// in front of all users would blind the watch.
//
// It is one for all traffic of an environment and outlives a swap, so that it
// knows the crowd when a watch begins. Memory is bounded: above some thousand
// clients several share a slot. It is safe for concurrent use.
type Clients struct {
	mu    sync.Mutex
	seed  maphash.Seed
	slots [clientSlots]clientSlot
	crowd Crowd
	asOf  time.Time // of crowd
}

// clientSlot counts by second, in a ring over the window.
type clientSlot struct {
	client   netip.Addr // who had it first
	second   int64
	requests [burstWindow]uint32
	errors   [burstWindow]uint8
}

// NewClients returns a Clients that has seen nobody.
func NewClients() *Clients { return &Clients{seed: maphash.MakeSeed()} }

// Observe counts a request of the client.
func (c *Clients) Observe(client netip.Addr, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.slot(client, now)
	s.requests[now.Unix()%burstWindow]++
}

// Count tells whether an error of the client counts.
func (c *Clients) Count(client netip.Addr, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.slot(client, now)
	sum := 0
	for _, n := range s.errors {
		sum += int(n)
	}
	if i := now.Unix() % burstWindow; sum < burstCap {
		s.errors[i]++
		return true
	}
	return !c.look(now).Capping
}

// Crowd says who the requests of the last ten seconds came from.
func (c *Clients) Crowd(now time.Time) Crowd {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.look(now)
}

// slot returns the client's slot as of now. Addresses of one IPv6 network are
// one client: its owner has as many of them as he likes.
func (c *Clients) slot(client netip.Addr, now time.Time) *clientSlot {
	client = client.Unmap().WithZone("")
	if client.Is6() {
		if p, err := client.Prefix(64); err == nil {
			client = p.Addr()
		}
	}
	s := c.find(client, now.Unix())
	s.advance(now.Unix())
	return s
}

// find returns the slot that is the client's, else one that nobody has used
// within the window, else one it has to share.
func (c *Clients) find(client netip.Addr, second int64) *clientSlot {
	home := maphash.Comparable(c.seed, client)
	var free *clientSlot
	for i := range uint64(clientProbes) {
		s := &c.slots[(home+i)%clientSlots]
		if s.client == client {
			return s
		}
		if free == nil && s.second <= second-burstWindow {
			free = s
		}
	}
	if free == nil {
		return &c.slots[home%clientSlots]
	}
	free.client = client
	return free
}

// advance clears the seconds that left the window.
func (s *clientSlot) advance(second int64) {
	gone := min(second-s.second, burstWindow)
	for i := range max(gone, 0) {
		at := (second - i) % burstWindow
		s.requests[at], s.errors[at] = 0, 0
	}
	if gone > 0 {
		s.second = second
	}
}

func (c *Clients) look(now time.Time) Crowd {
	if age := now.Sub(c.asOf); age >= 0 && age < crowdFresh {
		return c.crowd
	}
	var all, top uint64
	crowd := Crowd{}
	oldest := now.Unix() - burstWindow
	for i := range c.slots {
		s := &c.slots[i]
		if s.second <= oldest {
			continue
		}
		s.advance(now.Unix())
		var sum uint64
		for _, n := range s.requests {
			sum += uint64(n)
		}
		if sum > 0 {
			crowd.Clients++
		}
		all, top = all+sum, max(top, sum)
	}
	if all > 0 {
		crowd.Top = float64(top) / float64(all)
	}
	crowd.Capping = crowd.Clients >= crowdClients && crowd.Top <= crowdShare
	c.crowd, c.asOf = crowd, now
	return crowd
}
