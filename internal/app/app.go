// Package app is the composition root: from options to a running server. It
// is the one place where the parts are put together; it decides nothing about
// releases.
package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shiplock/shiplock/internal/api"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/metrics"
	"github.com/shiplock/shiplock/internal/promote"
	"github.com/shiplock/shiplock/internal/release"
	"github.com/shiplock/shiplock/internal/seal"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/store"
)

// Options say how a server is run.
type Options struct {
	Dir     string                      // everything we keep is below it
	State   string                      // folder of our own state; default Dir/server
	Version string                      // of this program
	Binary  string                      // this program's path, to start the node with
	Lookup  func(string) (string, bool) // resolves ${env:NAME}
	Claim   time.Duration               // a deployer that is not heard of for so long may be replaced; 0 is the engine's default
	// NodeElsewhere tells that somebody else keeps the node running, as systemd
	// does: it is waited for and never started.
	NodeElsewhere bool
	// Metrics is an address of the loopback interface at which /metrics tells
	// what the server measures, and /node/metrics what the node does; "" is none.
	Metrics string
	Log     *slog.Logger
}

// NodeDir returns the node's folder.
func (o Options) NodeDir() string { return filepath.Join(o.Dir, "node") }

// NodeLog returns the file for what a node prints that the server starts.
func (o Options) NodeLog() string { return filepath.Join(o.Dir, "node.log") }

// SocketPath returns the path of the socket of the server whose data is in dir.
func SocketPath(dir string) string { return filepath.Join(dir, "server.sock") }

// An App is a server that has been put together.
type App struct {
	Options
	store   *store.Store
	runs    *dispatcher
	desk    *promote.Desk
	node    *keeper
	handler http.Handler
}

// Open puts a server together. It fails with kind Locked while another
// process has its state open.
func Open(ctx context.Context, o Options) (*App, error) {
	if o.State == "" {
		o.State = filepath.Join(o.Dir, "server")
	}
	st, err := store.Open(ctx, o.State)
	if err != nil {
		return nil, err
	}
	a := &App{Options: o, store: st, node: &keeper{Options: o}}
	if err := a.assemble(); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return a, nil
}

func (a *App) assemble() error {
	artifacts, err := release.NewStore(filepath.Join(a.State, "artifacts"))
	if err != nil {
		return err
	}
	key, err := seal.LoadOrCreateKey(filepath.Join(a.State, "backup.key"))
	if err != nil {
		return err
	}
	p := &plugins{options: a.Options}
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	engine, err := deploy.New(deploy.Config{
		Journal: a.store, Artifacts: archives{artifacts}, Plugins: p, Dir: a.State, Key: key, Log: a.Log, TTL: a.Claim,
		Holder: fmt.Sprintf("shiplock %d on %s", os.Getpid(), host),
		Resolver: func(env ship.Environment) (deploy.Resolver, error) {
			return config.NewResolver(env.SecretsFile, a.Lookup)
		},
	})
	if err != nil {
		return err
	}
	a.runs = newDispatcher(engine, a.Log)
	if a.desk, err = promote.New(promote.Config{Store: a.store, Start: a.runs.start, Log: a.Log}); err != nil {
		return err
	}
	a.handler = api.Handler(api.Config{
		Store: a.store, Artifacts: artifacts, Engine: engine, Desk: a.desk, Platform: p.Platform, Start: a.runs.start, Version: a.Version, Log: a.Log,
	})
	return nil
}

// archives shows the artifact store to the engine.
type archives struct{ *release.Store }

func (a archives) Open(digest string) (deploy.File, error) { return a.Store.Open(digest) }

func (a archives) Tree(digest string) (fs.FS, func() error, error) {
	v, err := a.FS(digest)
	if err != nil {
		return nil, nil, err
	}
	return v, v.Close, nil
}

// Close closes the state. Runs under way are taken up again by the next server.
func (a *App) Close() error { return a.store.Close() }

// Run keeps the node running, carries out runs, first of all those an earlier
// server left, and serves the API until ctx ends. ready is called once.
func (a *App) Run(ctx context.Context, ready func()) error {
	var shown net.Listener
	if a.Metrics != "" {
		var err error
		if shown, err = metrics.Listen(ctx, a.Metrics); err != nil {
			return err
		}
		defer shown.Close()
	}
	if err := a.node.ensure(ctx); err != nil {
		return err
	}
	l, err := listen(SocketPath(a.Dir))
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.node.Run(ctx) })
	g.Go(func() error { return a.runs.Run(ctx) })
	g.Go(func() error { return a.desk.Run(ctx) })
	g.Go(func() error { return a.serve(ctx, l) })
	if shown != nil {
		g.Go(func() error { return metrics.Serve(ctx, shown, a.measured()) })
	}
	if err := a.takeUp(ctx); err != nil {
		return err
	}
	ready()
	return g.Wait()
}

// takeUp has the runs carried on that an earlier owner of the state left. Those
// that wait for a person go on waiting.
func (a *App) takeUp(ctx context.Context) error {
	open, err := a.store.Runs(ctx, ship.RunFilter{Open: true})
	if err != nil {
		return err
	}
	for _, r := range open {
		if r.Status != ship.Paused {
			a.runs.start(r.ID)
		}
	}
	return nil
}

// listen opens a socket only its owner can connect to. A socket that a dead
// server left is replaced; the state's lock has said that it is dead.
func listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listen: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (a *App) serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler: a.handler, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }, ConnContext: api.WithPeer,
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	// Answers that follow a run end by ctx; the others get a moment.
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := srv.Shutdown(stopCtx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	if why := <-done; !errors.Is(why, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serve: %w", why))
	}
	return err
}
