package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

var errStub = errors.New("not written yet")

// Config is what a Proxy is made from.
type Config struct{ Log *slog.Logger }

// A Proxy routes requests by its current table.
type Proxy struct{}

// New returns a Proxy with an empty table.
func New(Config) *Proxy { return &Proxy{} }

// SetTable replaces the table.
func (*Proxy) SetTable(Table) error { return errStub }

// Serve serves the listeners until ctx ends.
func (*Proxy) Serve(context.Context, map[string]net.Listener) error { return errStub }

// Status reports.
func (*Proxy) Status() Status { return Status{} }

// Drain waits until the generation's requests ended, and cuts what is left when within is over.
func (*Proxy) Drain(ctx context.Context, env ship.EnvironmentID, generation string, within time.Duration) (DrainReport, error) {
	return DrainReport{}, errStub
}

// WorkerOptions are what a worker process is told by its command line.
type WorkerOptions struct {
	Dir string // folder of control sockets, made 0700
	Log *slog.Logger
}

// RunWorker is the life of a worker process.
func RunWorker(ctx context.Context, o WorkerOptions) error { return errStub }

// Control talks to one worker process over its control socket.
type Control struct{}

// Dial connects to the worker whose control socket is at path.
func Dial(ctx context.Context, path string) (*Control, error) { return nil, errStub }

// Find returns a Control for every worker alive in dir, newest first, and removes sockets that dead ones left.
func Find(ctx context.Context, dir string) ([]*Control, error) { return nil, errStub }

// PID returns the worker's process id.
func (*Control) PID() int { return 0 }

// Path returns the path of the worker's control socket.
func (*Control) Path() string { return "" }

// SetTable replaces the worker's table; the first one makes it accept connections.
func (*Control) SetTable(ctx context.Context, t Table) error { return errStub }

// Status asks for the worker's status.
func (*Control) Status(ctx context.Context) (Status, error) { return Status{}, errStub }

// Drain is [Proxy.Drain] in the worker.
func (*Control) Drain(ctx context.Context, env ship.EnvironmentID, generation string, within time.Duration) (DrainReport, error) {
	return DrainReport{}, errStub
}

// Listeners returns copies of the worker's listening sockets, by name. The caller closes them.
func (*Control) Listeners(ctx context.Context) (map[string]*os.File, error) { return nil, errStub }

// AddListeners gives the worker more listening sockets (copies; the caller keeps its own).
func (*Control) AddListeners(ctx context.Context, l map[string]*os.File) error { return errStub }

// Retire has the worker accept nothing more, finish its requests within grace, and exit. It returns when the process is gone.
func (*Control) Retire(ctx context.Context, grace time.Duration) error { return errStub }

// Wait returns nil when the worker process is gone, or ctx's error. It works for a worker that is not our child.
func (*Control) Wait(ctx context.Context) error { return errStub }

// StartOptions say how a worker process is started.
type StartOptions struct {
	Command   []string            // argv that ends in RunWorker with the same Dir, e.g. shiplock node worker --dir DIR
	Dir       string              // folder of control sockets
	Listeners map[string]*os.File // by name; the caller keeps its own copies open
	Output    *os.File            // the worker's stdout and stderr; nil is DIR/worker.log, appended to
	Log       *slog.Logger
}

// A Worker is a worker process that is our child.
type Worker struct{ *Control }

// StartWorker starts a worker in a session of its own, so that it outlives us, hands it the listeners, and returns when
// its control socket answers. It accepts connections from its first table on.
func StartWorker(ctx context.Context, o StartOptions) (*Worker, error) { return nil, errStub }

// Done is closed when the process ended.
func (*Worker) Done() <-chan struct{} { return nil }

// Err says how the process ended; it may be asked after Done.
func (*Worker) Err() error { return nil }

// Kill ends the process at once.
func (*Worker) Kill() error { return nil }

// ListenerFile returns a copy of l's socket for [StartOptions.Listeners].
func ListenerFile(l net.Listener) (*os.File, error) { return nil, errStub }
