package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// startTimeout bounds the time until a new worker's control socket answers.
const startTimeout = 15 * time.Second

// errEnded is the fault of a worker that ended, and with exit code 0.
var errEnded = errors.New("exit status 0")

// StartOptions say how a worker process is started.
type StartOptions struct {
	Command   []string            // argv that ends in RunWorker with the same Dir
	Env       []string            // of the process; nil is our own
	Dir       string              // folder of control sockets
	Listeners map[string]*os.File // by name; the worker gets copies, see [ListenerFile]
	Output    *os.File            // the worker's stdout and stderr; nil is DIR/worker.log, appended to
	Log       *slog.Logger
}

// A Worker is a worker process that is our child.
type Worker struct {
	*Control
	process *os.Process
	done    chan struct{}
	err     error // valid after done
}

// StartWorker starts a worker in a session of its own, so that it outlives us,
// hands it the listeners, and returns when it has them. It accepts connections
// from its first table on.
func StartWorker(ctx context.Context, o StartOptions) (*Worker, error) {
	if len(o.Command) == 0 {
		return nil, ship.Errorf(ship.Internal, "", "starting proxy worker: no command")
	}
	if err := privateDir(o.Dir); err != nil {
		return nil, err
	}
	out := o.Output
	if out == nil {
		f, err := os.OpenFile(filepath.Join(o.Dir, "worker.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("starting proxy worker: %w", err)
		}
		defer f.Close()
		out = f
	}
	// Not CommandContext: the worker must not die with whoever asked for it.
	cmd := exec.Command(o.Command[0], o.Command[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = o.Env, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting proxy worker: %w", err)
	}
	w := &Worker{process: cmd.Process, done: make(chan struct{})}
	go func() { // ends with the process; Done tells
		w.err = cmd.Wait()
		close(w.done)
	}()
	if err := w.equip(ctx, o); err != nil {
		_ = w.Kill()
		<-w.done
		return nil, err
	}
	if o.Log != nil {
		o.Log.Info("Worker started", "pid", w.PID(), "listeners", len(o.Listeners))
	}
	return w, nil
}

// equip waits for the control socket and hands the listeners over.
func (w *Worker) equip(ctx context.Context, o StartOptions) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	path := socketPath(o.Dir, w.process.Pid)
	for {
		control, err := Dial(ctx, path)
		if err == nil {
			w.Control = control
			break
		}
		select {
		case <-w.done:
			return fmt.Errorf("proxy worker ended at once, see its output in %s: %w", filepath.Join(o.Dir, "worker.log"), cmp.Or(w.err, errEnded))
		case <-ctx.Done():
			return fmt.Errorf("proxy worker %d does not answer: %w", w.process.Pid, err)
		case <-tick.C:
		}
	}
	if len(o.Listeners) == 0 {
		return nil
	}
	return w.AddListeners(ctx, o.Listeners)
}

// Done is closed when the process has ended.
func (w *Worker) Done() <-chan struct{} { return w.done }

// Err says how the process ended; nil is exit code 0. It is valid after Done.
func (w *Worker) Err() error { return w.err }

// Kill ends the process at once. Its connections are lost; its listening
// sockets stay open in whatever other process has them.
func (w *Worker) Kill() error {
	if err := w.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing proxy worker: %w", err)
	}
	return nil
}

// ListenerFile returns a copy of l's socket, to be handed to a worker.
func ListenerFile(l net.Listener) (*os.File, error) {
	f, ok := l.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, ship.Errorf(ship.Internal, "", "listener %s of type %T has no descriptor", l.Addr(), l)
	}
	return f.File()
}
