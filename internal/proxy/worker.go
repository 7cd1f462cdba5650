package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// WorkerOptions are what a worker process is told by its command line.
type WorkerOptions struct {
	Dir string // folder of control sockets; made with mode 0700
	Log *slog.Logger
}

const (
	// orphanAfter ends a worker whose supervisor died before it handed over
	// a listener: nobody would ever find a use for it.
	orphanAfter = time.Minute
	// callTimeout bounds the transport of one message.
	callTimeout = 10 * time.Second
)

// A worker is the process around a Proxy.
type worker struct {
	log    *slog.Logger
	proxy  *Proxy
	given  chan struct{}      // closed when the first listeners came
	retire chan Grace         // of the first who asks
	gone   chan struct{}      // closed at the very end
	hurry  context.CancelFunc // ends the grace
	last   Status             // valid after gone
	once   sync.Once

	equipped sync.Once // guards given

	mu    sync.Mutex
	files map[string]*os.File // the listening sockets, to be handed back
}

// RunWorker is the life of a worker process: it serves the control socket
// DIR/worker-PID.sock and the listeners it is given there, until it is retired
// or ctx ends. It does not care whether its parent lives.
func RunWorker(ctx context.Context, o WorkerOptions) error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	control, err := listenControl(o.Dir)
	if err != nil {
		return err
	}
	w := &worker{
		log:    o.Log,
		proxy:  New(Config{Log: o.Log}),
		given:  make(chan struct{}),
		retire: make(chan Grace, 1),
		gone:   make(chan struct{}),
		files:  map[string]*os.File{},
	}
	leaving, hurry := context.WithCancel(context.WithoutCancel(ctx))
	defer hurry()
	w.hurry = hurry
	var calls sync.WaitGroup
	answering, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	calls.Go(func() { w.accept(answering, control, &calls) })
	grace := w.live(ctx)
	o.Log.Info("Worker retires", "pid", os.Getpid(), "linger", grace.Linger, "requests", grace.Requests, "lasting", grace.Lasting)
	err = w.proxy.Leave(leaving, grace)
	if err != nil {
		o.Log.Warn("Worker cut requests", "error", err)
	}
	_ = control.Close()
	w.last = w.proxy.Status()
	close(w.gone)
	stop()
	calls.Wait()
	for _, f := range w.files {
		_ = f.Close()
	}
	return nil
}

// live returns when the worker has to go, and how much grace it has.
func (w *worker) live(ctx context.Context) Grace {
	orphan := time.NewTimer(orphanAfter)
	defer orphan.Stop()
	given := w.given
	for {
		select {
		case <-ctx.Done():
			return quick(serveGrace)
		case grace := <-w.retire:
			return grace
		case <-given:
			orphan.Stop()
			given = nil
		case <-orphan.C:
			w.log.Warn("Worker was given no listener and ends", "after", orphanAfter)
			return Grace{}
		}
	}
}

// listenControl makes the folder and the control socket of this process.
func listenControl(dir string) (*net.UnixListener, error) {
	if err := privateDir(dir); err != nil {
		return nil, err
	}
	path := socketPath(dir, os.Getpid())
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, ship.Errorf(ship.Invalid, "choose a shorter data folder: a socket's path has at most 107 bytes", "control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), l.Close())
	}
	return l, nil
}

// privateDir makes dir, or checks that it is a folder only we can enter.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("folder of control sockets: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("folder of control sockets: %w", err)
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return ship.Errorf(ship.Invalid, "chmod 700 "+dir, "folder of control sockets %s has mode %s, others could reach the worker", dir, info.Mode())
	}
	return nil
}

func socketPath(dir string, pid int) string {
	return filepath.Join(dir, fmt.Sprintf("worker-%d.sock", pid))
}

func (w *worker) accept(ctx context.Context, l *net.UnixListener, calls *sync.WaitGroup) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				w.log.Error("Control socket failed", "error", err)
			}
			return
		}
		calls.Go(func() {
			defer c.Close()
			if err := w.call(ctx, c); err != nil {
				w.log.Warn("Call failed", "error", err)
			}
		})
	}
}

// call answers one call.
func (w *worker) call(ctx context.Context, c *net.UnixConn) error {
	if err := checkPeer(c); err != nil {
		return err
	}
	_ = c.SetDeadline(time.Now().Add(callTimeout))
	var req request
	files, err := receive(c, &req)
	defer closeAll(files)
	if err != nil {
		return err
	}
	_ = c.SetDeadline(time.Time{})
	switch req.Call {
	case callRetire:
		grace := quick(req.Within)
		if req.Grace != nil {
			grace = *req.Grace
		}
		w.once.Do(func() { w.retire <- grace })
		// Whoever asks again can only shorten it.
		time.AfterFunc(max(grace.Requests, grace.Lasting), w.hurry)
		fallthrough
	case callWait:
		return w.untilGone(c)
	}
	res, out := w.answer(ctx, c, req, files)
	_ = c.SetWriteDeadline(time.Now().Add(callTimeout))
	return send(c, res, out)
}

func (w *worker) answer(ctx context.Context, c *net.UnixConn, req request, files []*os.File) (response, []*os.File) {
	switch req.Call {
	case callStatus:
		st := w.proxy.Status()
		return response{Status: &st}, nil
	case callTable:
		if req.Table == nil {
			return response{Error: toWire(ship.Errorf(ship.Invalid, "", "the table is missing"))}, nil
		}
		return response{Error: toWire(w.proxy.SetTable(*req.Table))}, nil
	case callEnd:
		ctx, stop := whileConnected(ctx, c)
		defer stop()
		w.proxy.EndStreams(ctx, req.Environment, req.Generation, req.Within)
		return response{}, nil
	case callDrain:
		ctx, stop := whileConnected(ctx, c)
		defer stop()
		grace := quick(req.Within)
		if req.Grace != nil {
			grace = *req.Grace
		}
		report, err := w.proxy.Drain(ctx, req.Environment, req.Generation, grace)
		return response{Report: &report, Error: toWire(err)}, nil
	case callTraffic:
		if req.Traffic == nil {
			return response{Error: toWire(ship.Errorf(ship.Invalid, "", "the query is missing"))}, nil
		}
		ctx, stop := whileConnected(ctx, c)
		defer stop()
		t := w.proxy.Traffic(ctx, *req.Traffic)
		return response{Traffic: &t}, nil
	case callAdd:
		return response{Error: toWire(w.add(req.Names, files))}, nil
	case callRemove:
		w.remove(req.Names, req.Grace)
		return response{}, nil
	case callListeners:
		names, files := w.listeners()
		return response{Names: names}, files
	}
	return response{Error: toWire(ship.Errorf(ship.Invalid, "", "unknown call %q", req.Call))}, nil
}

// add serves the sockets behind files. A name that is served already is left
// alone, so that the call can be repeated.
func (w *worker) add(names []string, files []*os.File) error {
	if len(names) != len(files) {
		return ship.Errorf(ship.Invalid, "", "%d listeners came with %d descriptors", len(names), len(files))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, name := range names {
		if w.files[name] != nil {
			continue
		}
		l, err := net.FileListener(files[i]) // a copy
		if err != nil {
			return fmt.Errorf("listener %s: %w", name, err)
		}
		kept, err := ListenerFile(l)
		if err != nil {
			return errors.Join(fmt.Errorf("listener %s: %w", name, err), l.Close())
		}
		if err := w.proxy.Listen(name, l); err != nil {
			return errors.Join(err, l.Close(), kept.Close())
		}
		w.files[name] = kept
		w.equipped.Do(func() { close(w.given) })
	}
	return nil
}

func (w *worker) listeners() (names []string, files []*os.File) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, f := range w.files {
		names, files = append(names, name), append(files, f)
	}
	return names, files
}

// remove ends the named listeners.
func (w *worker) remove(names []string, g *Grace) {
	if g == nil {
		d := quick(serveGrace)
		g = &d
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range names {
		w.proxy.Unlisten(name, *g)
		if f := w.files[name]; f != nil {
			_ = f.Close()
			delete(w.files, name)
		}
	}
}

// untilGone keeps c open until the worker is gone or the caller is. The last
// thing it says is what was counted.
func (w *worker) untilGone(c *net.UnixConn) error {
	ctx, stop := whileConnected(context.Background(), c)
	defer stop()
	select {
	case <-w.gone:
	case <-ctx.Done():
		return nil
	}
	_ = c.SetWriteDeadline(time.Now().Add(callTimeout))
	return send(c, response{Status: &w.last}, nil)
}

// whileConnected returns a context that ends when the caller hangs up. Stop
// waits for the goroutine that listens for it.
func whileConnected(ctx context.Context, c *net.UnixConn) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = c.Read(make([]byte, 1))
		cancel()
	})
	return ctx, func() {
		_ = c.SetReadDeadline(time.Unix(1, 0))
		wg.Wait()
		cancel()
	}
}
