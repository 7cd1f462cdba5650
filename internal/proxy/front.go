package proxy

import (
	"context"
	"errors"
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
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
	maxStreams     = 250

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
	closing map[*server]struct{} // their listener was taken away, their requests end
	wg      sync.WaitGroup
}

// A server serves one listening socket.
type server struct {
	raw     net.Listener
	http    *http.Server
	removed atomic.Bool
}

func (f *front) init() {
	f.tableSet = make(chan struct{})
	f.servers = map[string]*server{}
	f.closing = map[*server]struct{}{}
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
		g := newGreeter(context.Background(), l, name, p)
		defer g.wait()
		err := s.http.Serve(g) // closes g
		if err != nil && !errors.Is(err, http.ErrServerClosed) && !f.retiring.Load() && !s.removed.Load() {
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
		ReadHeaderTimeout: p.pace.header,
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
