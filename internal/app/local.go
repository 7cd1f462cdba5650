package app

import (
	"context"
	"net"
	"net/http"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/shiplock/shiplock/internal/api"
	"github.com/shiplock/shiplock/internal/peer"
)

// Local runs a server without a socket for as long as f lasts: the same engine
// in the caller's own process. f is handed a way to connect to it. Runs that an
// earlier owner of the state left are carried on meanwhile; one that f does not
// wait for is left to the next.
func Local(ctx context.Context, o Options, f func(ctx context.Context, dial func(context.Context) (net.Conn, error)) error) error {
	a, err := Open(ctx, o)
	if err != nil {
		return err
	}
	defer a.Close()
	if err := a.node.ensure(ctx); err != nil {
		return err
	}
	pipe := newPipe()
	srv := &http.Server{ //nolint:gosec // only we can connect
		Handler: a.handler,
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return api.WithCred(ctx, peer.Cred{UID: os.Getuid(), PID: os.Getpid()})
		},
	}
	ctx, cancel := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.runs.Run(ctx) })
	g.Go(func() error {
		_ = srv.Serve(pipe)
		return nil
	})
	if err = a.takeUp(ctx); err == nil {
		err = f(ctx, pipe.dial)
	}
	cancel()
	_ = srv.Close()
	_ = g.Wait()
	return err
}

// pipe is a listener whose connections are made in the same process.
type pipe struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipe() *pipe { return &pipe{make(chan net.Conn), make(chan struct{})} }

func (p *pipe) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements [net.Listener].
func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. It is called once, by the server.
func (p *pipe) Close() error {
	close(p.closed)
	return nil
}

// Addr implements [net.Listener].
func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "local", Net: "pipe"} }
