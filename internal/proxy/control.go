package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Control talks to one worker process over its control socket. Each call is
// a connection of its own, so a Control has nothing to close.
type Control struct {
	path    string
	pid     int
	started time.Time
}

// Dial returns a Control of the worker whose control socket is at path, after
// it answered.
func Dial(ctx context.Context, path string) (*Control, error) {
	c := &Control{path: path}
	st, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	c.pid, c.started = st.PID, st.Started
	return c, nil
}

// Find returns a Control of every worker alive in dir, the newest first, and
// removes the sockets that dead ones left. Workers that do not answer within
// two seconds are in the error.
func Find(ctx context.Context, dir string) ([]*Control, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "worker-*.sock"))
	if err != nil {
		return nil, fmt.Errorf("looking for workers: %w", err)
	}
	var found []*Control
	var problems []error
	for _, path := range paths {
		dialing, cancel := context.WithTimeout(ctx, 2*time.Second)
		c, err := Dial(dialing, path)
		cancel()
		switch {
		case err == nil:
			found = append(found, c)
		case isGone(err):
			_ = os.Remove(path)
		default:
			problems = append(problems, fmt.Errorf("worker at %s: %w", path, err))
		}
	}
	slices.SortFunc(found, func(a, b *Control) int { return b.started.Compare(a.started) })
	return found, errors.Join(problems...)
}

func isGone(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist)
}

// PID returns the worker's process id.
func (c *Control) PID() int { return c.pid }

// Path returns the path of the worker's control socket.
func (c *Control) Path() string { return c.path }

// SetTable is [Proxy.SetTable] in the worker. The first table makes the worker
// accept connections.
func (c *Control) SetTable(ctx context.Context, t Table) error {
	_, _, err := c.call(ctx, request{Call: callTable, Table: &t}, nil)
	return err
}

// Status is [Proxy.Status] in the worker.
func (c *Control) Status(ctx context.Context) (Status, error) {
	res, _, err := c.call(ctx, request{Call: callStatus}, nil)
	if err != nil {
		return Status{}, err
	}
	if res.Status == nil {
		return Status{}, ship.Errorf(ship.Internal, "", "the proxy worker sent no status")
	}
	return *res.Status, nil
}

// Traffic is [Proxy.Traffic] in the worker.
func (c *Control) Traffic(ctx context.Context, q Query) (Traffic, error) {
	res, _, err := c.call(ctx, request{Call: callTraffic, Traffic: &q}, nil)
	if err == nil && res.Traffic == nil {
		err = ship.Errorf(ship.Internal, "", "the proxy worker sent nothing of the traffic")
	}
	if err != nil {
		return Traffic{}, err
	}
	return *res.Traffic, nil
}

// Drain is [Proxy.Drain] in the worker.
func (c *Control) Drain(ctx context.Context, env ship.EnvironmentID, generation string, g Grace) (DrainReport, error) {
	res, _, err := c.call(ctx, request{Call: callDrain, Environment: env, Generation: generation, Grace: &g}, nil)
	if res.Report == nil {
		return DrainReport{}, err
	}
	return *res.Report, err
}

// EndStreams is [Proxy.EndStreams] in the worker.
func (c *Control) EndStreams(ctx context.Context, env ship.EnvironmentID, generation string, within time.Duration) error {
	_, _, err := c.call(ctx, request{Call: callEnd, Environment: env, Generation: generation, Within: within}, nil)
	return err
}

// Listeners returns copies of the worker's listening sockets, by name. The
// caller closes them.
func (c *Control) Listeners(ctx context.Context) (map[string]*os.File, error) {
	res, files, err := c.call(ctx, request{Call: callListeners}, nil)
	if err == nil && len(res.Names) != len(files) {
		err = ship.Errorf(ship.Internal, "", "%d listeners came with %d descriptors", len(res.Names), len(files))
	}
	if err != nil {
		closeAll(files)
		return nil, err
	}
	byName := map[string]*os.File{}
	for i, name := range res.Names {
		byName[name] = files[i]
	}
	return byName, nil
}

// AddListeners gives the worker more listening sockets, by name. It gets
// copies; the caller keeps its own. A name it has already is left as it is.
func (c *Control) AddListeners(ctx context.Context, listeners map[string]*os.File) error {
	var names []string
	var files []*os.File
	for name, f := range listeners {
		names, files = append(names, name), append(files, f)
	}
	_, _, err := c.call(ctx, request{Call: callAdd, Names: names}, files)
	return err
}

// RemoveListeners has the worker close the named sockets. Requests that came by
// them go on within the grace. Names it does not have are no error.
func (c *Control) RemoveListeners(ctx context.Context, names []string, g Grace) error {
	_, _, err := c.call(ctx, request{Call: callRemove, Names: names, Grace: &g}, nil)
	return err
}

// Retire has the worker accept nothing more, finish its requests within grace,
// and exit. It returns when the worker is gone. When ctx ends first, the
// worker retires all the same.
func (c *Control) Retire(ctx context.Context, grace time.Duration) error {
	_, err := c.untilGone(ctx, request{Call: callRetire, Within: grace})
	return err
}

// Leave is Retire with a grace for each kind of client. It returns what the
// worker counted, as Last does.
func (c *Control) Leave(ctx context.Context, g Grace) (*Status, error) {
	return c.untilGone(ctx, request{Call: callRetire, Within: g.Requests, Grace: &g})
}

// Wait returns nil when the worker is gone, or ctx's error. The worker need
// not be our child.
func (c *Control) Wait(ctx context.Context) error {
	_, err := c.Last(ctx)
	return err
}

// Last is Wait, and returns what the worker counted until its end; nil when it
// could not say, as one that was killed.
func (c *Control) Last(ctx context.Context) (*Status, error) {
	return c.untilGone(ctx, request{Call: callWait})
}

func (c *Control) untilGone(ctx context.Context, req request) (*Status, error) {
	res, files, err := c.call(ctx, req, nil)
	closeAll(files)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || isGone(err) {
		return nil, nil
	}
	return res.Status, err
}

// call makes one call. It ends with ctx.
func (c *Control) call(ctx context.Context, req request, files []*os.File) (response, []*os.File, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "unix", c.path)
	if err != nil {
		return response{}, nil, ship.Errorf(ship.Unreachable, "", "proxy worker: %w", err)
	}
	conn := raw.(*net.UnixConn) // the network is "unix"
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := send(conn, req, files); err != nil {
		return response{}, nil, ended(ctx, err)
	}
	var res response
	got, err := receive(conn, &res)
	if err != nil {
		closeAll(got)
		return response{}, nil, ended(ctx, err)
	}
	return res, got, res.Error.err()
}

// ended prefers ctx's error, which is why the connection failed.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return ship.Errorf(ship.Unreachable, "", "proxy worker: %w", err)
}
