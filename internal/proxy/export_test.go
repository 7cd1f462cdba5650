package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Door is a door for tests to enter from many goroutines.
type Door struct{ door }

// Enter, Leave, Open, Shut, Seal and Inside are the door's own.
func (d *Door) Enter() bool     { return d.enter() }
func (d *Door) EnterLate() bool { return d.enterLate() }
func (d *Door) Leave()          { d.leave() }
func (d *Door) Open()           { d.open() }
func (d *Door) Shut()           { d.shut.Store(true) }
func (d *Door) Seal()           { d.seal() }
func (d *Door) Inside() int64   { return d.inside.Load() }

// HistogramOf returns the histogram of durations.
func HistogramOf(durations ...time.Duration) Histogram {
	var r recorder
	for _, d := range durations {
		r.add(d)
	}
	return r.read()
}

// Frames follows a WebSocket in tests.
type Frames struct{ frames }

// NewFrames returns one at the beginning of a stream.
func NewFrames() *Frames { return &Frames{} }

// Advance and Between are the scanner's own.
func (f *Frames) Advance(p []byte) (edge, closing int) { return f.advance(p) }
func (f *Frames) Between() bool                        { return f.between() }

// EventEdge returns the last boundary of an event stream that comes in pieces.
func EventEdge(pieces ...string) int {
	var s eventScan
	edge, at := -1, 0
	for _, p := range append(pieces, "") {
		if e := s.advance([]byte(p)); e >= 0 {
			edge = at + e
		}
		at += len(p)
	}
	return edge
}

// Impatient returns a change of a proxy that has clients keep up a hundred
// times faster.
func Impatient(p *Proxy) {
	p.pace = pace{header: 100 * time.Millisecond, write: 600 * time.Millisecond, pause: 300 * time.Millisecond, grace: 300 * time.Millisecond, rate: 512}
}

// ClientAddress is clientAddress for networks as a table has them.
func ClientAddress(r *http.Request, trusted ...string) netip.Addr {
	return clientAddress(r, networks(trusted))
}

// A Limiter is a limiter whose clock is the test's.
type Limiter struct{ l *limiter }

// NewLimiter returns a Limiter.
func NewLimiter(limit ship.RateLimit) Limiter { return Limiter{newLimiter(&limit, nil)} }

// Take takes a token, or returns the time until there will be one.
func (l Limiter) Take(client netip.Addr, now time.Time) time.Duration { return l.l.take(client, now) }

// Clients returns how many clients it remembers.
func (l Limiter) Clients() int { return len(l.l.clients) }

// A Sentry is a sentry before a connection.
type Sentry struct{ s sentry }

// NewSentry returns a Sentry that reads from c.
func NewSentry(c net.Conn) *Sentry { return &Sentry{sentry{Conn: c}} }

// Read reads what the sentry lets through.
func (s *Sentry) Read(p []byte) (int, error) { return s.s.Read(p) }

// Between tells whether the sentry expects a new request next.
func (s *Sentry) Between() bool { return s.s.at == atRequest && len(s.s.line) == 0 }

// Ended tells whether the sentry ended the connection.
func (s *Sentry) Ended() bool { return s.s.ended }

// MaxClients is what a limiter remembers at most.
const MaxClients = maxClients
