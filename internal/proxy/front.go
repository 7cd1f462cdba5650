package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	maxStreams        = 250

	// lingerFor is how long a retiring proxy lets kept-alive connections live,
	// so that busy clients leave with an answer that says "Connection: close"
	// instead of sending a request into a connection that is being closed.
	lingerFor  = 2 * time.Second
	serveGrace = 10 * time.Second
)

// A front is the listening side: the servers and their connections.
type front struct {
	tableSet chan struct{} // closed by the first table
	once     sync.Once
	retiring atomic.Bool
	conns    atomic.Int64

	mu      sync.Mutex
	servers map[string]*server
	wg      sync.WaitGroup
}

// A server serves one listening socket.
type server struct {
	raw  net.Listener
	http *http.Server
}

func (f *front) init() {
	f.tableSet = make(chan struct{})
	f.servers = map[string]*server{}
}

func (f *front) ready() { f.once.Do(func() { close(f.tableSet) }) }

func (f *front) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.servers))
}

// Serve serves the listeners, by their names in the table, until ctx ends.
// Then it finishes the requests under way, for ten seconds at most. It accepts
// nothing before the first table: connections wait in the sockets' backlog.
func (p *Proxy) Serve(ctx context.Context, listeners map[string]net.Listener) error {
	for name, l := range listeners {
		if err := p.Listen(name, l); err != nil {
			return errors.Join(err, p.Retire(context.WithoutCancel(ctx), 0))
		}
	}
	<-ctx.Done()
	return p.Retire(context.WithoutCancel(ctx), serveGrace)
}

// Listen begins to serve one more listener and takes it over. Serve or Retire
// ends it.
func (p *Proxy) Listen(name string, l net.Listener) error {
	f := &p.front
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.retiring.Load() {
		return ship.Errorf(ship.Invalid, "", "listener %s: this worker is retiring", name)
	}
	if f.servers[name] != nil {
		return ship.Errorf(ship.Invalid, "", "listener %s is served already", name)
	}
	s := &server{raw: l, http: p.newServer(name)}
	f.servers[name] = s
	f.wg.Go(func() {
		<-f.tableSet
		err := s.http.Serve(&tlsListener{Listener: l, name: name, proxy: p})
		if err != nil && !errors.Is(err, http.ErrServerClosed) && !f.retiring.Load() {
			p.log.Error("Listener failed", "listener", name, "error", err)
		}
	})
	return nil
}

func (p *Proxy) newServer(name string) *http.Server {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Server{
		Handler:           p.handler(name),
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
		ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				p.front.conns.Add(1)
			case http.StateClosed, http.StateHijacked:
				p.front.conns.Add(-1)
			}
		},
	}
}

// Retire stops accepting connections, finishes the requests under way within
// grace and closes what is left. The listening sockets stay open in whatever
// other process has them.
func (p *Proxy) Retire(ctx context.Context, grace time.Duration) error {
	f := &p.front
	f.mu.Lock()
	f.retiring.Store(true)
	servers := slices.Collect(maps.Values(f.servers))
	f.mu.Unlock()
	f.ready()
	for _, s := range servers {
		_ = s.raw.Close() // a second Retire closes it again
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	await(ctx, min(lingerFor, grace/2), func() bool { return f.conns.Load() == 0 })

	var wg sync.WaitGroup
	for _, s := range servers {
		wg.Go(func() {
			if s.http.Shutdown(ctx) != nil {
				_ = s.http.Close()
			}
		})
	}
	wg.Wait()
	f.wg.Wait()
	await(ctx, grace, p.idle) // upgraded connections are no longer the servers'
	if left := p.cutAll(); left > 0 {
		return fmt.Errorf("retiring: %d requests were cut after %s", left, grace)
	}
	return nil
}

// idle tells whether no request is under way.
func (p *Proxy) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.generations {
		if g.busy() > 0 {
			return false
		}
	}
	return true
}

// cutAll closes every connection to an instance, and says how many requests
// were under way.
func (p *Proxy) cutAll() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var left int64
	for _, g := range p.generations {
		left += g.busy()
		g.cut()
		g.transport.CloseIdleConnections()
	}
	return left
}

// await returns when ready says so, ctx ends, or limit is over.
func await(ctx context.Context, limit time.Duration, ready func() bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
