package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

const (
	// patience is how long a call waits for a node that is being started again.
	patience = 5 * time.Second
	// maxCuts is how often a call may be cut by a node that ends, before that
	// is taken for the call's own doing.
	maxCuts = 5
)

// A Client talks to the node behind a socket. Its methods are those of
// [platform.Platform]. A call that is cut off because the node was restarted
// is made again: every method may be repeated.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client of the node whose socket is at the given path.
// It does not connect yet.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", socket)
	}
	return &Client{socket, &http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}}}
}

// Info says which node answers.
type Info struct {
	PID     int       `json:"pid"`
	Dir     string    `json:"dir"`
	Started time.Time `json:"started"`
	Worker  int       `json:"worker"`            // pid of the proxy worker, 0 when there is none
	Leaving []int     `json:"leaving,omitempty"` // pids of workers it relieved, whose last requests end
	Version string    `json:"version"`
	Binary  string    `json:"binary"`
	Upgrade *Upgrade  `json:"upgrade,omitempty"` // the last one
}

// Info asks the node who it is.
func (c *Client) Info(ctx context.Context) (Info, error) {
	var i Info
	err := c.call(ctx, http.MethodGet, "/v1/node", nil, &i)
	return i, err
}

// Metrics returns what the node measures, in the text form of Prometheus.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://node/v1/node/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	res, err := c.send(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(io.LimitReader(res.Body, 64<<20))
}

// Shutdown has the node end every instance and the proxy worker, and then
// itself. It returns when the node has begun.
func (c *Client) Shutdown(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/node/shutdown", struct{}{}, nil)
}

// AwaitEnd waits until the node of a folder has ended and has written what it
// writes last.
func AwaitEnd(ctx context.Context, dir string) error {
	path := filepath.Join(dir, lockName)
	for {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if f, err := lockFile(path); err == nil {
			return f.Close()
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait for the node in %s to end: %w", dir, ctx.Err())
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// Acquire implements platform.Platform.
func (c *Client) Acquire(ctx context.Context, env ship.EnvironmentID, claim ship.Claim) (ship.Fence, error) {
	var f ship.Fence
	err := c.call(ctx, http.MethodPost, envPath(env, "acquire"), claim, &f)
	return f, err
}

// Renew implements platform.Platform.
func (c *Client) Renew(ctx context.Context, env ship.EnvironmentID, f ship.Fence, ttl time.Duration) error {
	return c.change(ctx, env, "renew", fenceBody{Fence: f, TTL: ttl})
}

// Release implements platform.Platform.
func (c *Client) Release(ctx context.Context, env ship.EnvironmentID, f ship.Fence) error {
	return c.change(ctx, env, "release", fenceBody{Fence: f})
}

// Observe implements platform.Platform.
func (c *Client) Observe(ctx context.Context, env ship.EnvironmentID) (platform.Observation, error) {
	var o platform.Observation
	err := c.call(ctx, http.MethodGet, envPath(env, ""), nil, &o)
	return o, err
}

// Evidence implements platform.Witness.
func (c *Client) Evidence(ctx context.Context, env ship.EnvironmentID, seconds int) (platform.Evidence, error) {
	var ev platform.Evidence
	err := c.call(ctx, http.MethodGet, envPath(env, "evidence")+"?seconds="+strconv.Itoa(seconds), nil, &ev)
	return ev, err
}

// Upload implements platform.Platform.
func (c *Client) Upload(ctx context.Context, a ship.Artifact, r io.Reader) error {
	var have bool
	if err := c.call(ctx, http.MethodGet, "/v1/artifacts/"+url.PathEscape(a.Digest), nil, &have); err != nil || have {
		return err
	}
	if c.link(ctx, a, r) {
		return nil
	}
	// The body is wrapped, so that the transport neither closes it nor guesses its length.
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://node/v1/artifacts/"+url.PathEscape(a.Digest), io.NopCloser(r))
	if err != nil {
		return fmt.Errorf("upload artifact: %w", err)
	}
	return c.do(req, nil)
}

// link has the node take an archive that is a file on this machine, without
// copying it. Whatever keeps it from doing so, the archive can be sent.
func (c *Client) link(ctx context.Context, a ship.Artifact, r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok || !filepath.IsAbs(f.Name()) {
		return false
	}
	return c.once(ctx, http.MethodPost, "/v1/artifacts/"+url.PathEscape(a.Digest)+"/link", linkBody{f.Name()}, nil) == nil
}

// Prepare implements platform.Platform.
func (c *Client) Prepare(ctx context.Context, s platform.Spec) (platform.Prepared, error) {
	var p platform.Prepared
	err := c.call(ctx, http.MethodPost, envPath(s.Environment.ID, "prepare"), newSpecBody(s), &p)
	return p, err
}

// Run implements platform.Platform.
func (c *Client) Run(ctx context.Context, s platform.Spec, cmd platform.Command) (platform.Result, error) {
	var r platform.Result
	body := runBody{specBody: newSpecBody(s), Command: cmd, CommandVars: reveal(cmd.Vars)}
	path := envPath(s.Environment.ID, "run")
	if cmd.Name == "" {
		return r, c.once(ctx, http.MethodPost, path, body, &r)
	}
	return r, c.call(ctx, http.MethodPost, path, body, &r)
}

// Start implements platform.Platform.
func (c *Client) Start(ctx context.Context, f ship.Fence, s platform.Spec, slot ship.Slot) error {
	return c.call(ctx, http.MethodPost, envPath(s.Environment.ID, "start"), startBody{newSpecBody(s), f, slot}, nil)
}

// Stop implements platform.Platform.
func (c *Client) Stop(ctx context.Context, f ship.Fence, env ship.EnvironmentID, slot ship.Slot) error {
	return c.change(ctx, env, "stop", fenceBody{Fence: f, Slot: slot})
}

// Shift implements platform.Platform.
func (c *Client) Shift(ctx context.Context, f ship.Fence, env ship.EnvironmentID, s platform.Shift) error {
	return c.change(ctx, env, "shift", fenceBody{Fence: f, Shift: &s})
}

// EndWatch implements platform.Guardian.
func (c *Client) EndWatch(ctx context.Context, f ship.Fence, env ship.EnvironmentID, why string) error {
	return c.change(ctx, env, "watch/end", fenceBody{Fence: f, Why: why})
}

// EndCommand implements platform.Ender.
func (c *Client) EndCommand(ctx context.Context, f ship.Fence, env ship.EnvironmentID, name string) error {
	return c.change(ctx, env, "run/end", fenceBody{Fence: f, Command: name})
}

// SetMode implements platform.Platform.
func (c *Client) SetMode(ctx context.Context, f ship.Fence, env ship.EnvironmentID, m platform.ModeChange) error {
	return c.change(ctx, env, "mode", fenceBody{Fence: f, Mode: &m})
}

// StopWorkers implements platform.Platform.
func (c *Client) StopWorkers(ctx context.Context, f ship.Fence, env ship.EnvironmentID) error {
	return c.change(ctx, env, "workers/stop", fenceBody{Fence: f})
}

// StartWorkers implements platform.Platform.
func (c *Client) StartWorkers(ctx context.Context, f ship.Fence, env ship.EnvironmentID) error {
	return c.change(ctx, env, "workers/start", fenceBody{Fence: f})
}

// Logs implements platform.Platform.
func (c *Client) Logs(ctx context.Context, env ship.EnvironmentID, q platform.LogQuery, w io.Writer) error {
	v := url.Values{"lines": {strconv.Itoa(q.Lines)}}
	for key, value := range map[string]string{"slot": string(q.Slot), "process": q.Process, "job": q.Job} {
		if value != "" {
			v.Set(key, value)
		}
	}
	if q.Follow {
		v.Set("follow", "true")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://node"+envPath(env, "logs")+"?"+v.Encode(), nil)
	if err != nil {
		return fmt.Errorf("read logs: %w", err)
	}
	resp, err := c.send(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil && ctx.Err() == nil {
		return fmt.Errorf("read logs: %w", err)
	}
	return nil
}

func (c *Client) change(ctx context.Context, env ship.EnvironmentID, verb string, b fenceBody) error {
	return c.call(ctx, http.MethodPost, envPath(env, verb), b, nil)
}

func envPath(env ship.EnvironmentID, verb string) string {
	p := "/v1/environments/" + url.PathEscape(env.App) + "/" + url.PathEscape(env.Name)
	if verb == "" {
		return p
	}
	return p + "/" + verb
}

// call makes a request that may be repeated, and repeats it when the node went
// away meanwhile and comes back within patience.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var refusedSince time.Time
	for cuts := 0; ; {
		err := c.once(ctx, method, path, in, out)
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case errors.Is(err, os.ErrNotExist) && refusedSince.IsZero() && cuts == 0:
			return err // no node was ever here
		case refused(err):
			if refusedSince.IsZero() {
				refusedSince = time.Now()
			}
			if time.Since(refusedSince) > patience {
				return err
			}
		case lost(err) && cuts < maxCuts:
			cuts, refusedSince = cuts+1, time.Time{}
		default:
			return err
		}
		pause(ctx, 50*time.Millisecond)
	}
}

func (c *Client) once(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://node"+path, body)
	if err != nil {
		return fmt.Errorf("ask node: %w", err)
	}
	return c.do(req, out)
}

func (c *Client) do(req *http.Request, out any) error {
	resp, err := c.send(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	} else {
		err = json.NewDecoder(resp.Body).Decode(out)
	}
	if err != nil {
		return c.unreachable(err)
	}
	return nil
}

// send returns a successful answer, or the error the node told.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx := req.Context(); ctx.Err() != nil {
			return nil, fmt.Errorf("ask node: %w", context.Cause(ctx))
		}
		return nil, c.unreachable(err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	var told errorBody
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&told); err != nil || told.Message == "" {
		return nil, ship.Errorf(ship.Internal, "", "node answered %s", resp.Status)
	}
	return nil, told.err()
}

func (c *Client) unreachable(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return ship.Errorf(ship.Unreachable, "run as the user the node runs as, or as root", "node at %s: %w", c.socket, err)
	}
	return ship.Errorf(ship.Unreachable, "start it: shiplock up, or shiplock node", "node at %s does not answer: %w", c.socket, err)
}

func refused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist)
}

// lost tells whether err is a connection that was broken, rather than an
// answer.
func lost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
