package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A greeter accepts connections for the server. It speaks TLS on them while
// the table in force has certificates for its listener, so that a table can
// change them, and has a [sentry] read along where HTTP/1 is spoken. Which that
// is, is known after the handshake only, so that the greeter does it.
type greeter struct {
	net.Listener
	name  string
	proxy *Proxy
	ready chan arrival
	done  <-chan struct{} // closed with the listener
	stop  context.CancelFunc
	wg    sync.WaitGroup
}

// An arrival is what Accept returns.
type arrival struct {
	conn net.Conn
	err  error
}

// newGreeter returns a greeter that accepts from l at once. It is to be closed
// and waited for.
func newGreeter(ctx context.Context, l net.Listener, name string, p *Proxy) *greeter {
	g := &greeter{Listener: l, name: name, proxy: p, ready: make(chan arrival)}
	ctx, g.stop = context.WithCancel(ctx)
	g.done = ctx.Done()
	g.wg.Go(func() { g.accept(ctx) })
	return g
}

// Accept returns the next connection that was greeted.
func (g *greeter) Accept() (net.Conn, error) {
	select {
	case a := <-g.ready:
		return a.conn, a.err
	case <-g.done:
		return nil, net.ErrClosed
	}
}

// Close ends the listener and the handshakes under way.
func (g *greeter) Close() error {
	g.stop()
	return g.Listener.Close()
}

func (g *greeter) wait() { g.wg.Wait() }

func (g *greeter) accept(ctx context.Context) {
	var greeting sync.WaitGroup
	for {
		c, err := g.Listener.Accept()
		entry := g.proxy.current.Load().listeners[g.name]
		switch {
		case errors.Is(err, net.ErrClosed):
			greeting.Wait() // who came before is served
			g.pass(arrival{err: err})
			return
		case err != nil: // the server waits before it asks again
			g.pass(arrival{err: err})
		case entry != nil && entry.tls != nil:
			greeting.Go(func() { g.greet(ctx, c, entry.tls) })
		default:
			g.pass(arrival{conn: &sentry{Conn: c}})
		}
	}
}

func (g *greeter) pass(a arrival) {
	select {
	case g.ready <- a:
	case <-g.done:
		if a.conn != nil {
			_ = a.conn.Close()
		}
	}
}

// greet shakes hands. What speaks HTTP/2 from then on has no need of a sentry,
// since its frames say where everything ends.
func (g *greeter) greet(ctx context.Context, raw net.Conn, config *tls.Config) {
	_ = raw.SetDeadline(time.Now().Add(g.proxy.pace.header))
	c := tls.Server(raw, config)
	if err := c.HandshakeContext(ctx); err != nil {
		if re, ok := errors.AsType[tls.RecordHeaderError](err); ok && re.Conn != nil && speaksHTTP(re.RecordHeader) {
			_, _ = io.WriteString(re.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nThis address speaks HTTPS only.\n")
		}
		_ = raw.Close()
		return
	}
	_ = raw.SetDeadline(time.Time{})
	if c.ConnectionState().NegotiatedProtocol == "h2" {
		g.pass(arrival{conn: c})
		return
	}
	g.pass(arrival{conn: &tlsSentry{sentry{Conn: c}, c}})
}

// speaksHTTP tells whether what should have been TLS begins like a request.
func speaksHTTP(header [5]byte) bool {
	for _, c := range header[:3] {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}

// A tlsSentry is a sentry within TLS.
type tlsSentry struct {
	sentry
	tls *tls.Conn
}

// ConnectionState has the server know that requests came by TLS.
func (s *tlsSentry) ConnectionState() tls.ConnectionState { return s.tls.ConnectionState() }
