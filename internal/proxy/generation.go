package proxy

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

const (
	dialTimeout = 2 * time.Second
	// defaultKeepAlive is how long a connection to an instance is kept for reuse.
	// It is below the shortest keep-alive in use (gunicorn's 2 s): a POST that
	// meets a connection the instance is just closing cannot be sent again.
	defaultKeepAlive = time.Second
	// defaultResponse is how long an answer may take to begin.
	defaultResponse = time.Minute
	// restFor is how long an address that refused is asked last.
	restFor = time.Second
)

// A key names a generation among all environments.
type key struct {
	env  ship.EnvironmentID
	name string
}

// A generation is one run of a backend: its connections, its counters, and
// the doors its requests come in by.
type generation struct {
	key
	requests  door            // ordinary requests, while the generation is active and the mode is Serving
	probes    door            // health requests, while it is active in another mode
	assets    door            // assets that its successor does not know
	transport *http.Transport // for what does not go over a link
	// fresh is for bodies that are streamed. They cannot be sent again, and so
	// must not meet a connection that the instance is just closing.
	fresh    *http.Transport
	conns    connSet
	tally    tally
	roster   roster
	lastings [protocols]atomic.Int64 // in flight, by protocol; HTTP is the rest
	endings  [protocols]ending

	cuts   atomic.Int64 // counts the times all of its connections were cut
	logged atomic.Int64 // when a failure was logged last

	// Guarded by Proxy.mu.
	slot      ship.Slot
	active    bool
	listed    bool // in the table in force
	served    bool // has ever been active
	atSwap    baseline
	swapped   time.Time
	flow      *flow
	report    *DrainReport // of the drain that ended
	addresses map[string]*address
}

// An address is one instance of a generation.
type address struct {
	hostport  string
	inside    atomic.Int64
	restUntil atomic.Int64 // Unix nanoseconds; it refused a connection
	links     links
}

// A target is a generation as one table lists it. It never changes.
type target struct {
	*generation
	addrs   []*address
	release string
	turn    *atomic.Uint32
}

func newGeneration(k key, settings ship.Proxy) *generation {
	g := &generation{key: k, addresses: map[string]*address{}}
	g.requests.seal()
	g.probes.seal()
	g.assets.seal()
	g.conns.open = map[*conn]struct{}{}
	g.transport = &http.Transport{
		DialContext:            g.dial,
		DisableCompression:     true, // else it adds gzip and unpacks the answers
		MaxIdleConnsPerHost:    512,
		IdleConnTimeout:        keepAlive(settings),
		ResponseHeaderTimeout:  responseTimeout(settings),
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 1 << 20,
	}
	g.fresh = g.transport.Clone()
	g.fresh.DisableKeepAlives = true
	return g
}

func keepAlive(s ship.Proxy) time.Duration       { return cmp.Or(s.KeepAlive, defaultKeepAlive) }
func responseTimeout(s ship.Proxy) time.Duration { return cmp.Or(s.ResponseTimeout, defaultResponse) }

// closeIdle closes the connections that no request uses; the caller holds
// Proxy.mu.
func (g *generation) closeIdle() {
	g.transport.CloseIdleConnections()
	for _, a := range g.addresses {
		a.links.closeAll()
	}
}

// A dialError says that no connection was made, so that nothing was sent.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

func (g *generation) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	cuts := g.cuts.Load()
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, &dialError{err}
	}
	tracked := &conn{Conn: c, set: &g.conns}
	g.conns.add(tracked)
	if g.cuts.Load() != cuts {
		_ = tracked.Close()
	}
	return tracked, nil
}

// cutOff ends the requests that are wanted.
func (g *generation) cutOff(wanted func(*exchange) bool) {
	for _, ex := range g.roster.all(wanted) {
		ex.cutOff()
	}
}

// cut ends every request, and breaks every connection to the instances.
func (g *generation) cut() {
	g.cutOff(func(*exchange) bool { return true })
	g.cuts.Add(1)
	g.conns.closeAll()
}

// pick returns the address with the fewest requests inside, by turns among
// equals; one that lately refused, or is the one to avoid, comes last.
func (t *target) pick(avoid *address) *address {
	var best *address
	var bestCost int64
	now := time.Now().UnixNano()
	start := int(t.turn.Add(1))
	for i := range t.addrs {
		a := t.addrs[(start+i)%len(t.addrs)]
		cost := a.inside.Load()
		if a.restUntil.Load() > now {
			cost += 1 << 40
		}
		if a == avoid {
			cost += 1 << 41
		}
		if best == nil || cost < bestCost {
			best, bestCost = a, cost
		}
	}
	return best
}

// A connSet is the open connections to a generation's instances.
type connSet struct {
	mu   sync.Mutex
	open map[*conn]struct{}
}

func (s *connSet) add(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[c] = struct{}{}
}

func (s *connSet) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

func (s *connSet) closeAll() {
	s.mu.Lock()
	all := make([]*conn, 0, len(s.open))
	for c := range s.open {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
}

// A conn is a connection that leaves its set when it is closed.
type conn struct {
	net.Conn
	set *connSet
}

func (c *conn) Close() error {
	c.set.remove(c)
	return c.Conn.Close()
}

// mayLog allows one line a second about a generation's failures: they are
// counted anyway, and a log must not grow with the traffic.
func (g *generation) mayLog() bool {
	now := time.Now().UnixNano()
	last := g.logged.Load()
	return now-last > int64(time.Second) && g.logged.CompareAndSwap(last, now)
}
