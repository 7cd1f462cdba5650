package node

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// workerRestart is the pause between two starts of a worker that does not
// stay alive.
const workerRestart = 250 * time.Millisecond

// settleEvery is how often it is looked whether the state is in force.
const settleEvery = time.Second

// A proxies keeper owns the listening sockets and sees to it that a worker
// serves them. Connections wait in the backlog of the sockets while there is
// none.
type proxies struct {
	command []string
	env     []string
	dir     string
	state   *stateFile
	log     *slog.Logger

	applying lock          // held while a table is put in force
	needed   chan struct{} // a worker has something to do
	applied  atomic.Int64  // revision that was put in force last

	mu     sync.Mutex
	open   map[string]*os.File                      // our copies of the sockets
	certs  map[ship.EnvironmentID]proxy.Certificate // as they were read last
	worker *proxy.Control                           // nil while there is none
	given  map[string]bool                          // sockets the worker has
	alive  chan struct{}                            // closed when there is a worker
}

func newProxies(o Options, s *stateFile) *proxies {
	p := &proxies{
		env: o.BaseEnv, dir: filepath.Join(o.Dir, "proxy"), state: s, log: o.Log,
		applying: newLock(), needed: make(chan struct{}, 1), open: map[string]*os.File{}, certs: map[ship.EnvironmentID]proxy.Certificate{}, alive: make(chan struct{}),
	}
	p.command = append(slices.Clone(o.WorkerCommand), p.dir)
	return p
}

// adopt takes back the worker of a node that was killed, with its sockets.
func (p *proxies) adopt(ctx context.Context) error {
	workers, err := proxy.Find(ctx, p.dir)
	if err != nil {
		return fmt.Errorf("find proxy workers: %w", err)
	}
	for _, w := range workers {
		status, err := w.Status(ctx)
		if err != nil || status.Retiring {
			continue
		}
		files, err := w.Listeners(ctx)
		if err != nil {
			p.log.Warn("a proxy worker does not give its listeners", "pid", w.PID(), "error", err)
			continue
		}
		p.state.raise(status.Revision)
		p.mu.Lock()
		p.open = files
		p.mu.Unlock()
		p.use(w, files)
		p.log.Info("took back the proxy worker", "pid", w.PID(), "listeners", slices.Sorted(maps.Keys(files)))
		return nil
	}
	return nil
}

// use makes w the worker. It has the given sockets already.
func (p *proxies) use(w *proxy.Control, given map[string]*os.File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.worker, p.given = w, map[string]bool{}
	for name := range given {
		p.given[name] = true
	}
	close(p.alive)
}

func (p *proxies) lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.worker, p.alive = nil, make(chan struct{})
}

// current returns the living worker, waiting for one if there is none.
func (p *proxies) current(ctx context.Context) (*proxy.Control, error) {
	for {
		p.mu.Lock()
		w, alive := p.worker, p.alive
		p.mu.Unlock()
		if w != nil {
			return w, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a proxy worker: %w", context.Cause(ctx))
		case <-alive:
		}
	}
}

// pid returns the worker's process id, or 0.
func (p *proxies) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.worker == nil {
		return 0
	}
	return p.worker.PID()
}

// run keeps a worker alive until ctx ends. The worker lives on.
func (p *proxies) run(ctx context.Context) {
	for ctx.Err() == nil {
		p.mu.Lock()
		w := p.worker
		p.mu.Unlock()
		if w == nil {
			if !p.state.read().routes() {
				select {
				case <-ctx.Done():
				case <-p.needed:
				}
				continue
			}
			if err := p.start(ctx); err != nil && ctx.Err() == nil {
				p.log.Error("a proxy worker does not start", "error", err)
				pause(ctx, workerRestart)
			}
			continue
		}
		began := time.Now()
		if err := w.Wait(ctx); err != nil {
			continue // ctx ended, or the wait itself failed and is tried again
		}
		p.log.Error("the proxy worker is gone, another one is started", "pid", w.PID())
		p.lose()
		if time.Since(began) < workerRestart {
			pause(ctx, workerRestart)
		}
	}
}

// start starts a worker on our sockets and gives it the table before anybody
// else sees it.
func (p *proxies) start(ctx context.Context) error {
	t, err := tableOf(p.state.read(), p.certificate)
	if err != nil {
		return err
	}
	files := p.keepOnly(t.Listeners)
	w, err := proxy.StartWorker(ctx, proxy.StartOptions{Command: p.command, Env: p.env, Dir: p.dir, Listeners: files, Log: p.log})
	if err != nil {
		return err
	}
	if len(files) > 0 {
		var missing []string // they are opened by the next change
		for _, l := range t.Listeners {
			if files[l.Name] == nil {
				missing = append(missing, l.Name)
			}
		}
		if err := w.SetTable(ctx, without(t, missing)); err != nil {
			_ = w.Kill()
			return fmt.Errorf("give the proxy worker its table: %w", err)
		}
	}
	p.use(w.Control, files)
	p.log.Info("started a proxy worker", "pid", w.PID())
	return nil
}

// apply puts the state in force at the worker. When it returns nil every
// request from now on is routed by the state as it was when apply was called,
// or by a later one. While there is no worker it waits for one.
func (p *proxies) apply(ctx context.Context) error {
	unlock, err := p.applying.take(ctx)
	if err != nil {
		return fmt.Errorf("change the proxy's table: %w", err)
	}
	defer unlock()
	if p.pid() == 0 && !p.state.read().routes() {
		return nil
	}
	select {
	case p.needed <- struct{}{}:
	default:
	}
	for {
		w, err := p.current(ctx)
		if err != nil {
			return err
		}
		if err = p.give(ctx, w); err == nil {
			return nil
		}
		if alive, _ := w.Status(ctx); alive.PID != 0 || ctx.Err() != nil {
			return fmt.Errorf("change the proxy's table: %w", err)
		}
		pause(ctx, 10*time.Millisecond)
	}
}

func (p *proxies) give(ctx context.Context, w *proxy.Control) error {
	t, err := tableOf(p.state.read(), p.certificate)
	if err != nil {
		return err
	}
	// One environment's lost port must not keep the others from being changed.
	lost := p.openAll(ctx, t)
	t = without(t, lost)
	if err := p.hand(ctx, w); err != nil {
		return err
	}
	if err := w.SetTable(ctx, t); err != nil {
		return err
	}
	if len(lost) == 0 { // otherwise settle tries again
		p.applied.Store(t.Revision)
	}
	return nil
}

// settle applies what was recorded and, for whatever reason, could not be put
// in force at once.
func (p *proxies) settle(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, settleEvery)
		if p.applied.Load() >= p.state.read().Revision {
			continue
		}
		if err := p.apply(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("the recorded state is not in force at the proxy", "error", err)
		}
	}
}

// status asks the worker for its counters. Without a worker it is empty.
func (p *proxies) status(ctx context.Context) proxy.Status {
	p.mu.Lock()
	w := p.worker
	p.mu.Unlock()
	if w == nil {
		return proxy.Status{}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s, err := w.Status(ctx)
	if err != nil {
		return proxy.Status{}
	}
	return s
}

// retire ends the worker, letting requests under way end.
func (p *proxies) retire(ctx context.Context) {
	p.mu.Lock()
	w := p.worker
	p.mu.Unlock()
	if w == nil {
		return
	}
	if err := w.Retire(ctx, 5*time.Second); err != nil {
		p.log.Warn("the proxy worker does not retire", "pid", w.PID(), "error", err)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
