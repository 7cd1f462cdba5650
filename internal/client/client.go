// Package client is the Go client of the server's API. It knows how to reach a
// server, over a unix socket or through ssh, and turns its answers back into
// values and errors. It decides nothing.
package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// A Client talks to one server.
type Client struct {
	http *http.Client
	name string // where the server is, for errors
	mend string // what to type when it is not reached
}

// Name says where the server is.
func (c *Client) Name() string { return c.name }

// Close gives up idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// do sends a request and returns the answer if it is a success.
func (c *Client) do(ctx context.Context, method, path string, body io.Reader, size int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://shiplock"+path, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if size >= 0 {
		req.ContentLength = size
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, ship.Errorf(ship.Unreachable, c.mend, "no server answers at %s: %w", c.name, cause(err))
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, failure(resp)
}

// cause leaves out of an error of the transport the address that only it
// knows, and what it was asked.
func cause(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		if e, ok := errors.AsType[*os.SyscallError](e.Err); ok {
			return e.Err
		}
		return e.Err
	}
	return err
}

func failure(resp *http.Response) error {
	if resp.Request.Method == http.MethodHead && resp.StatusCode == http.StatusNotFound {
		return ship.Errorf(ship.NotFound, "", "not found")
	}
	var f wire.Failure
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil || f.Message == "" {
		return ship.Errorf(ship.Internal, "", "the server answered %s: %s", resp.Status, bytes.TrimSpace(b))
	}
	return &ship.Error{Kind: f.Kind, Hint: f.Hint, Err: errors.New(f.Message)}
}

// call sends in as JSON, if it is not nil, and decodes the answer into out.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	size := int64(-1)
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body, size = bytes.NewReader(b), int64(len(b))
	}
	resp, err := c.do(ctx, method, path, body, size)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("decode the answer to %s %s: %w", method, path, err)
	}
	return nil
}

// Version asks who the server is.
func (c *Client) Version(ctx context.Context) (wire.Version, error) {
	var v wire.Version
	return v, c.call(ctx, http.MethodGet, "/v1/version", nil, &v)
}

// HasArtifact tells whether the server has an artifact.
func (c *Client) HasArtifact(ctx context.Context, digest string) (bool, error) {
	resp, err := c.do(ctx, http.MethodHead, "/v1/artifacts/"+digest, nil, -1)
	if ship.KindOf(err) == ship.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, resp.Body.Close()
}

// PutArtifact uploads an artifact's zip.
func (c *Client) PutArtifact(ctx context.Context, a ship.Artifact, r io.Reader) error {
	resp, err := c.do(ctx, http.MethodPut, "/v1/artifacts/"+a.Digest, r, a.Size)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// AddRelease makes a release of an uploaded artifact.
func (c *Client) AddRelease(ctx context.Context, in wire.NewRelease) (ship.Release, error) {
	var r ship.Release
	return r, c.call(ctx, http.MethodPost, "/v1/releases", in, &r)
}

// Releases lists an app's releases, newest first.
func (c *Client) Releases(ctx context.Context, app string) ([]ship.Release, error) {
	var r []ship.Release
	return r, c.call(ctx, http.MethodGet, "/v1/releases?app="+url.QueryEscape(app), nil, &r)
}

// Prune deletes releases nobody needs any more.
func (c *Client) Prune(ctx context.Context, in wire.Prune) (wire.Prune, error) {
	var out wire.Prune
	return out, c.call(ctx, http.MethodPost, "/v1/releases/prune", in, &out)
}

// Plan asks what a run would do.
func (c *Client) Plan(ctx context.Context, in wire.NewRun) (ship.Plan, error) {
	var p ship.Plan
	return p, c.call(ctx, http.MethodPost, "/v1/plans", in, &p)
}

// Judge asks whether a run may begin, and of a promotion which release it is.
func (c *Client) Judge(ctx context.Context, in wire.NewRun) (wire.Judged, error) {
	var j wire.Judged
	return j, c.call(ctx, http.MethodPost, "/v1/judgements", in, &j)
}

// Told lists an app's releases, newest first, with where each runs and what
// changed since the one before.
func (c *Client) Told(ctx context.Context, app string) ([]wire.Told, error) {
	var t []wire.Told
	return t, c.call(ctx, http.MethodGet, "/v1/releases/told?app="+url.QueryEscape(app), nil, &t)
}

// Lock locks an environment.
func (c *Client) Lock(ctx context.Context, in wire.Lock) (wire.Lock, error) {
	var l wire.Lock
	return l, c.call(ctx, http.MethodPost, "/v1/locks", in, &l)
}

// Unlock takes the lock from an environment and returns it.
func (c *Client) Unlock(ctx context.Context, in wire.Lock) (wire.Lock, error) {
	var l wire.Lock
	return l, c.call(ctx, http.MethodPost, "/v1/locks/release", in, &l)
}

// AddRun starts a run.
func (c *Client) AddRun(ctx context.Context, in wire.NewRun) (ship.Run, error) {
	var r ship.Run
	return r, c.call(ctx, http.MethodPost, "/v1/runs", in, &r)
}

// Runs lists runs, newest first.
func (c *Client) Runs(ctx context.Context, app, env string, limit int) ([]ship.Run, error) {
	q := url.Values{"app": {app}, "env": {env}, "limit": {strconv.Itoa(limit)}}
	var r []ship.Run
	return r, c.call(ctx, http.MethodGet, "/v1/runs?"+q.Encode(), nil, &r)
}

// Run returns a run with its journal.
func (c *Client) Run(ctx context.Context, id string) (wire.Journal, error) {
	var j wire.Journal
	return j, c.call(ctx, http.MethodGet, "/v1/runs/"+url.PathEscape(id), nil, &j)
}

// Signal leaves a word for a run.
func (c *Client) Signal(ctx context.Context, id string, in wire.NewSignal) error {
	return c.call(ctx, http.MethodPost, "/v1/runs/"+url.PathEscape(id)+"/signals", in, nil)
}

// Follow hands every event of a run to f, from the one after the given
// sequence number until the run has ended or waits for a person, and returns
// the sequence number of the last.
func (c *Client) Follow(ctx context.Context, id string, after int64, f func(ship.Event) error) (int64, error) {
	path := fmt.Sprintf("/v1/runs/%s/events?follow=1&after=%d", url.PathEscape(id), after)
	resp, err := c.do(ctx, http.MethodGet, path, nil, -1)
	if err != nil {
		return after, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e ship.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return after, fmt.Errorf("decode event: %w", err)
		}
		after = e.Seq
		if err := f(e); err != nil {
			return after, err
		}
	}
	if err := lines.Err(); err != nil && ctx.Err() == nil {
		return after, ship.Errorf(ship.Unreachable, "shiplock watch "+id, "the connection to %s broke: %w", c.name, err)
	}
	return after, ctx.Err()
}

// Events returns the events of a run so far.
func (c *Client) Events(ctx context.Context, id string) ([]ship.Event, error) {
	resp, err := c.do(ctx, http.MethodGet, "/v1/runs/"+url.PathEscape(id)+"/events", nil, -1)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var all []ship.Event
	for dec := json.NewDecoder(resp.Body); ; {
		var e ship.Event
		if err := dec.Decode(&e); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("decode event: %w", err)
		}
		all = append(all, e)
	}
}

// LastEvent returns the sequence number of a run's newest event.
func (c *Client) LastEvent(ctx context.Context, id string) (int64, error) {
	all, err := c.Events(ctx, id)
	if err != nil || len(all) == 0 {
		return 0, err
	}
	return all[len(all)-1].Seq, nil
}

// Status asks what runs where; an empty app or env does not restrict.
func (c *Client) Status(ctx context.Context, app, env string) ([]wire.EnvironmentStatus, error) {
	q := url.Values{"app": {app}, "env": {env}}
	var s []wire.EnvironmentStatus
	return s, c.call(ctx, http.MethodGet, "/v1/status?"+q.Encode(), nil, &s)
}

// Traffic asks for the traffic of the last seconds in an environment.
func (c *Client) Traffic(ctx context.Context, app, env string, seconds int) (wire.Traffic, error) {
	q := url.Values{"app": {app}, "env": {env}, "seconds": {strconv.Itoa(seconds)}}
	var t wire.Traffic
	return t, c.call(ctx, http.MethodGet, "/v1/traffic?"+q.Encode(), nil, &t)
}

// Environments lists the newest settings of an app's environments.
func (c *Client) Environments(ctx context.Context, app string) ([]ship.Environment, error) {
	var e []ship.Environment
	return e, c.call(ctx, http.MethodGet, "/v1/environments?app="+url.QueryEscape(app), nil, &e)
}

// Logs copies log lines to w; when following, until ctx ends.
func (c *Client) Logs(ctx context.Context, id ship.EnvironmentID, q platform.LogQuery, w io.Writer) error {
	v := url.Values{"app": {id.App}, "env": {id.Name}, "slot": {string(q.Slot)}, "process": {q.Process}, "lines": {strconv.Itoa(q.Lines)}, "job": {q.Job}}
	if q.Follow {
		v.Set("follow", "1")
	}
	resp, err := c.do(ctx, http.MethodGet, "/v1/logs?"+v.Encode(), nil, -1)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err = io.Copy(w, resp.Body); err != nil && ctx.Err() == nil {
		return fmt.Errorf("read logs: %w", err)
	}
	return nil
}

// SetMode opens an environment or shows its maintenance page.
func (c *Client) SetMode(ctx context.Context, m wire.Mode) error {
	return c.call(ctx, http.MethodPost, "/v1/mode", m, nil)
}

// Backup saves a database now.
func (c *Client) Backup(ctx context.Context, b wire.Backup) (wire.Backup, error) {
	return b, c.call(ctx, http.MethodPost, "/v1/backups", b, &b)
}

// Backups lists the copies of an environment's database, newest first.
func (c *Client) Backups(ctx context.Context, env ship.Environment) ([]wire.Copy, error) {
	var all []wire.Copy
	return all, c.call(ctx, http.MethodPost, "/v1/backups/list", wire.Backup{Environment: env}, &all)
}

// Restore puts a copy back, or with Preview tells what that would lose.
func (c *Client) Restore(ctx context.Context, b wire.Backup) (wire.Backup, error) {
	return b, c.call(ctx, http.MethodPost, "/v1/restores", b, &b)
}

// Migrations asks for the state of the migrations.
func (c *Client) Migrations(ctx context.Context, m wire.Migrations) (wire.Migrations, error) {
	return m, c.call(ctx, http.MethodPost, "/v1/migrations", m, &m)
}

// Backfills asks how far the backfills of a release are, or pauses them.
func (c *Client) Backfills(ctx context.Context, b wire.Backfills) (wire.Backfills, error) {
	return b, c.call(ctx, http.MethodPost, "/v1/backfills", b, &b)
}

// Trash lists what migrations dropped, or has some of it brought back.
func (c *Client) Trash(ctx context.Context, in wire.Trash) ([]wire.Trashed, error) {
	var all []wire.Trashed
	return all, c.call(ctx, http.MethodPost, "/v1/trash", in, &all)
}

// Drift compares a database with what its applied migrations make.
func (c *Client) Drift(ctx context.Context, in wire.Drift) (wire.Drift, error) {
	return in, c.call(ctx, http.MethodPost, "/v1/drift", in, &in)
}

// Rehearse has migrations carried out on a copy, and judged.
func (c *Client) Rehearse(ctx context.Context, in wire.Rehearse) (ship.Verdict, error) {
	var v ship.Verdict
	return v, c.call(ctx, http.MethodPost, "/v1/rehearsals", in, &v)
}

// ResolveMigration records what became of a migration.
func (c *Client) ResolveMigration(ctx context.Context, r wire.Resolve) error {
	return c.call(ctx, http.MethodPost, "/v1/migrations/resolve", r, nil)
}
