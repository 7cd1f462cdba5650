package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shiplock/shiplock/internal/metrics"
	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/release"
	"github.com/shiplock/shiplock/internal/ship"
)

// errLeaving is why a call fails while the node ends; the caller asks the next.
var errLeaving = ship.Errorf(ship.Unreachable, "", "the node is being stopped")

// housekeeping is how often the sizes of logs are looked at.
const housekeeping = 5 * time.Second

// recoverWithin is how long a new node waits for a proxy worker before it
// listens to others.
const recoverWithin = 10 * time.Second

// node is a running supervisor.
type node struct {
	Options
	boot     string
	started  time.Time
	state    *stateFile
	releases *release.Store
	proxies  *proxies
	shutdown context.CancelFunc // asks the node to end with all it runs
	endAll   atomic.Bool        // instances and the worker end with the node

	lock *os.File // of the folder
	api  *os.File // a copy of the API's socket

	upgrading lock          // held while the program is replaced
	output    logFile       // of this process
	handing   chan struct{} // closed when the supervisor is to become the successor
	successor string        // valid after handing

	jobs sync.Mutex // held while a job's keeper is started

	life    sync.WaitGroup // keepers of instances and whoever waits for a child
	leaving *os.File       // readable when the node leaves its children to the next one
	left    chan struct{}  // closed then

	mu     sync.Mutex
	envs   map[string]*environment
	minded func(*environment) // has the environment minded from now on
}

// Run is the life of a node. It takes back what a node that was killed left
// running, serves the API, and returns when ctx ends or it was asked to shut
// down. In an upgrade the process becomes another program, and what is said
// here goes on there.
func Run(ctx context.Context, o Options) error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var h *handover
	if o.Handover == 0 && o.Metrics != "" { // once it runs it serves, whatever becomes of its metrics
		if err := metrics.Allowed(o.Metrics); err != nil {
			return err
		}
	}
	if o.Handover != 0 {
		var err error
		if h, err = takeOver(o.Handover); err != nil {
			return err
		}
	}
	for {
		next, program, err := run(ctx, o, h)
		if next == nil {
			return err
		}
		argv := append([]string{program}, o.Command[1:]...)
		err = next.become(program, argv, o.Environ)
		o.Log.Error("the supervisor could not become another program and goes on", "error", err)
		next.reason = err.Error()
		h = next
	}
}

// run is Run until the supervisor hands over to a program.
func run(ctx context.Context, o Options, h *handover) (next *handover, program string, err error) {
	n, leave, err := open(o, h)
	if err != nil {
		return nil, "", comeBack(ctx, h, o, err)
	}
	defer leave()
	ctx, shutdown := context.WithCancel(ctx)
	defer shutdown()
	n.shutdown = func() { n.endAll.Store(true); shutdown() }
	n.endAll.Store(o.StopAll)
	if err := n.proxies.adopt(ctx, n.trial()); err != nil {
		return nil, "", errors.Join(comeBack(ctx, h, o, err), h.unlock(n.lock))
	}
	listener, api, err := n.listenAPI(h)
	if err != nil {
		return nil, "", errors.Join(comeBack(ctx, h, o, err), h.unlock(n.lock))
	}
	n.api = api
	inherited := n.orphans()

	var duties sync.WaitGroup
	n.minded = func(e *environment) { duties.Go(func() { e.mind(ctx) }) }
	working, stopWorking := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWorking()
	n.proxies.dismissed = func(w *proxy.Control) { duties.Go(func() { n.proxies.farewell(working, w) }) }
	for _, w := range n.proxies.leavers() {
		n.proxies.dismissed(w)
	}
	duties.Go(func() { n.proxies.run(working) })
	duties.Go(func() { n.proxies.settle(ctx) })
	duties.Go(func() { n.keepHouse(ctx) })
	duties.Go(func() { n.showMetrics(ctx) })
	if err := n.recover(ctx); err != nil {
		n.Log.Error("not everything could be taken back", "error", err)
	}
	n.lookAfter(inherited)
	n.concludeUpgrade(h != nil, h.cameBack())
	n.Log.Info("the node runs", "dir", n.Dir, "pid", os.Getpid(), "version", n.Version)
	err = n.serve(ctx, listener)
	handing := err == nil && ctx.Err() == nil
	shutdown()
	stopWorking() // before the worker is retired, or another one would be started
	duties.Wait()
	if n.endAll.Load() {
		n.stopAll(context.WithoutCancel(ctx))
		handing = false
	}
	leave()
	if handing {
		return n.handOver(), n.successor, nil
	}
	return nil, "", errors.Join(err, n.api.Close(), n.lock.Close()) // the API's first: who is waiting there is told
}

// comeBack has the process become the program again that handed over to us and
// could not be followed. It returns why that is not possible.
func comeBack(ctx context.Context, h *handover, o Options, why error) error {
	if h == nil || ctx.Err() != nil {
		return why
	}
	o.Log.Error("the supervisor could not take over and goes back", "error", why)
	return errors.Join(why, h.goBack(why, o.Environ))
}

// handOver gathers what the successor gets. Nothing of it is used any more.
func (n *node) handOver() *handover {
	h := &handover{lock: n.lock, api: n.api, listeners: n.proxies.surrender(), argv: n.Command}
	self, err := ours()
	if err != nil {
		n.Log.Warn("there will be no way back to this program", "error", err)
		return h
	}
	h.self = self
	return h
}

// open locks the folder, unless it is ours already, and reads what is in it.
// The returned function lets go of the children; it may be called twice.
func open(o Options, h *handover) (*node, func(), error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, nil, fmt.Errorf("open node: %w", err)
	}
	o.Dir = dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("open node: %w", err)
	}
	if err := closeFolder(dir); err != nil {
		return nil, nil, err
	}
	lock, err := h.lockOr(filepath.Join(dir, lockName))
	if err != nil {
		return nil, nil, err
	}
	n := &node{
		Options: o, started: time.Now(), lock: lock, left: make(chan struct{}), envs: map[string]*environment{},
		upgrading: newLock(), handing: make(chan struct{}),
	}
	n.output.path = o.Output
	n.limit(&n.output) // what follows may fail, and be tried again for ever
	if n.boot, err = bootID(); err != nil {
		return nil, nil, errors.Join(err, h.unlock(lock))
	}
	if n.state, err = loadState(filepath.Join(dir, "state.json")); err != nil {
		return nil, nil, errors.Join(err, h.unlock(lock))
	}
	if n.releases, err = newReleases(dir); err != nil {
		return nil, nil, errors.Join(err, h.unlock(lock))
	}
	n.proxies = newProxies(o, n.state)
	n.proxies.open = h.sockets()
	leaving, letGo, err := os.Pipe()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open node: %w", err), h.unlock(lock))
	}
	n.leaving = leaving
	return n, sync.OnceFunc(func() {
		close(n.left)
		_ = letGo.Close()
		n.life.Wait()
		_ = leaving.Close()
	}), nil
}

// closeFolder sees to it that nobody else can look into the node's folder. It
// may be searchable: see [Options].
func closeFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("open node: %w", err)
	}
	if info.Mode().Perm() == 0o711 || info.Mode().Perm() == 0o700 {
		return nil
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("open node: %w", err)
	}
	return nil
}

// lockName is the file a node has locked while it runs.
const lockName = "node.lock"

// lockNode takes the folder for this node, or says whose it is.
func lockNode(path string) (*os.File, error) {
	f, err := lockFile(path)
	if err != nil {
		who, readErr := os.ReadFile(path)
		if readErr != nil || len(who) == 0 {
			return nil, ship.Errorf(ship.Locked, "", "another node runs here: %w", err)
		}
		return nil, ship.Errorf(ship.Locked, "use that one, or stop it first", "another node runs here: %s", who)
	}
	who := fmt.Sprintf("pid %d since %s", os.Getpid(), time.Now().UTC().Format(time.RFC3339))
	if err := errors.Join(f.Truncate(0), write(f, who)); err != nil {
		return nil, errors.Join(fmt.Errorf("lock node: %w", err), f.Close())
	}
	return f, nil
}

func write(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// environment returns what runs of an environment; its name is checked.
func (n *node) environment(id ship.EnvironmentID) (*environment, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.envs[id.String()]
	if e == nil {
		e = newEnvironment(n, id)
		n.envs[id.String()] = e
		n.minded(e)
	}
	return e, nil
}

// all returns every environment that was ever used since the node started.
func (n *node) all() []*environment {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []*environment
	for _, id := range sortedKeys(n.envs) {
		all = append(all, n.envs[id])
	}
	return all
}
