package node

import (
	"context"
	"fmt"
	"log/slog"
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
	starting lock          // held while a worker is started
	needed   chan struct{} // a worker has something to do
	applied  atomic.Int64  // revision that was put in force last

	dismissed func(*proxy.Control) // has somebody wait for the end of a worker that leaves
	traffic   meter
	output    logFile // of all workers

	mu       sync.Mutex
	open     map[string]*os.File                      // our copies of the sockets
	certs    map[ship.EnvironmentID]proxy.Certificate // as they were read last
	worker   *proxy.Control                           // nil while there is none
	given    map[string]bool                          // sockets the worker has
	reserved map[string]int                           // addresses of releases that are being started, and by how many
	alive    chan struct{}                            // closed when there is a worker
	leaving  []*proxy.Control                         // those before it, whose last requests end
	relieve  context.CancelFunc                       // wakes who waits for the worker's end
}

func newProxies(o Options, s *stateFile) *proxies {
	p := &proxies{
		command: o.WorkerCommand, env: o.BaseEnv, dir: filepath.Join(o.Dir, "proxy"), state: s, log: o.Log,
		applying: newLock(), starting: newLock(), needed: make(chan struct{}, 1), open: map[string]*os.File{}, reserved: map[string]int{}, certs: map[ship.EnvironmentID]proxy.Certificate{}, alive: make(chan struct{}),
	}
	p.output.path = filepath.Join(p.dir, "worker.log")
	return p
}

// use makes w the worker. It has the given sockets already.
func (p *proxies) use(w *proxy.Control, given map[string]*os.File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	replaced := p.worker != nil
	p.worker, p.given = w, map[string]bool{}
	for name := range given {
		p.given[name] = true
	}
	if replaced {
		p.relieve()
		return
	}
	close(p.alive)
}

// lose forgets a worker that is gone.
func (p *proxies) lose(w *proxy.Control) {
	p.traffic.end(w.PID())
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.worker == w {
		p.worker, p.alive = nil, make(chan struct{})
	}
}

// outlive waits until the worker w is gone, and returns early with an error
// when ctx ends or another one has taken its place.
func (p *proxies) outlive(ctx context.Context, w *proxy.Control) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.mu.Lock()
	p.relieve = cancel
	current := p.worker == w
	p.mu.Unlock()
	if !current {
		return context.Canceled
	}
	last, err := w.Last(ctx)
	if err == nil && last != nil {
		p.traffic.add(*last)
	}
	return err
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
		if err := p.outlive(ctx, w); err != nil {
			continue // ctx ended, it was replaced, or the wait itself failed and is tried again
		}
		p.log.Error("the proxy worker is gone, another one is started", "pid", w.PID())
		p.lose(w)
		if time.Since(began) < workerRestart {
			pause(ctx, workerRestart)
		}
	}
}

// start starts a worker on our sockets and gives it the table before anybody
// else sees it.
func (p *proxies) start(ctx context.Context) error {
	done, err := p.starting.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	if p.pid() != 0 {
		return nil // somebody else did
	}
	t, err := tableOf(p.state.read(), p.certificate)
	if err != nil {
		return err
	}
	files := p.keepOnly(p.wanted())
	w, err := p.launch(ctx, p.program(), files)
	if err != nil {
		return err
	}
	if len(files) > 0 {
		if err := w.SetTable(ctx, p.servable(t)); err != nil {
			_ = w.Kill()
			return fmt.Errorf("give the proxy worker its table: %w", err)
		}
	}
	p.use(w.Control, files)
	p.log.Info("started a proxy worker", "pid", w.PID())
	return nil
}

// launch starts a worker process with the sockets, which it does not serve yet.
func (p *proxies) launch(ctx context.Context, command []string, files map[string]*os.File) (*proxy.Worker, error) {
	return proxy.StartWorker(ctx, proxy.StartOptions{Command: command, Env: p.env, Dir: p.dir, Listeners: files, Log: p.log})
}

// servable is the table without listeners that are not open: the next change
// opens them.
func (p *proxies) servable(t proxy.Table) proxy.Table {
	p.mu.Lock()
	defer p.mu.Unlock()
	var missing []string
	for _, l := range t.Listeners {
		if p.open[l.Name] == nil {
			missing = append(missing, l.Name)
		}
	}
	return without(t, missing)
}

// program is the command of the next worker.
func (p *proxies) program() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append(slices.Clone(p.command), p.dir)
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
	if err := p.tellLeaving(ctx, t); err != nil {
		return err
	}
	if err := p.takeAway(ctx, w); err != nil {
		return err
	}
	if len(lost) == 0 { // otherwise settle tries again
		p.applied.Store(t.Revision)
	}
	return nil
}

// settle applies what was recorded and, for whatever reason, could not be put
// in force at once, and records what is in force and could not be recorded.
func (p *proxies) settle(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, settleEvery)
		if err := p.state.pay(); err != nil {
			p.log.Error("what is in force is not recorded", "error", err)
		}
		if p.applied.Load() >= p.state.read().Revision {
			continue
		}
		if err := p.apply(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("the recorded state is not in force at the proxy", "error", err)
		}
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
