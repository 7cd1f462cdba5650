package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/load"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// A ward is an application whose releases fall ill when they are told to: the
// test binary itself, in the role of "patient". What ails a release is in a
// file of its name.
type ward struct {
	*project
	ills  string
	bell  *bell
	limit string // the watch block
	more  string // further lines of the configuration
	n     int    // releases so far
}

// patientRole is the argument that makes the test binary the application.
const patientRole = "patient"

func newWard(t *testing.T, w *world, limit string) *ward {
	t.Helper()
	dir := t.TempDir()
	y := &ward{project: &project{w: w, dir: filepath.Join(dir, "project"), port: freePort(t), host: "127.0.0.1"}, ills: filepath.Join(dir, "ills"), bell: newBell(t, 0), limit: limit}
	if err := errors.Join(os.MkdirAll(y.dir, 0o755), os.MkdirAll(y.ills, 0o755)); err != nil {
		t.Fatal(err)
	}
	return y
}

// next writes the next release.
func (y *ward) next() {
	y.w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		y.w.t.Fatal(err)
	}
	y.n++
	y.write("VERSION", strconv.Itoa(y.n), 0o644)
	y.write("shiplock.yaml", fmt.Sprintf(`
app: ward
run:
  processes:
    web: {command: "%s %s", grace: 2s}
vars: {ILLS: "%s"}
health: {path: /healthz, healthy_after: 2, every: 100ms, give_up: 10s, timeout: 2s}
warmup: [/, /page]
notify: [{webhook: "%s", on: [failure, rollback]}]
%s
environments:
  production: {listen: "127.0.0.1:%d", drain: 1s, keep_old: 10m, watch: %s}
`, self, patientRole, y.ills, y.bell.URL, y.more, y.port, y.limit), 0o644)
}

// ail makes a release, or "all", fall ill; "" cures it.
func (y *ward) ail(who, ill string) {
	y.w.t.Helper()
	path := filepath.Join(y.ills, who)
	if err := errors.Join(os.WriteFile(path+".new", []byte(ill), 0o644), os.Rename(path+".new", path)); err != nil {
		y.w.t.Fatal(err)
	}
}

// first deploys the release that is well.
func (y *ward) first() {
	y.w.t.Helper()
	y.next()
	y.do("deploy", "production").expect(y.w.t, 0, "", ship.SchemaUnchanged, 1)
}

// swapped waits until a release is watched, and returns how.
func (y *ward) swapped(number int) platform.WatchStatus {
	y.w.t.Helper()
	var st platform.WatchStatus
	y.w.eventually(time.Minute, fmt.Sprintf("v%d is watched", number), func() error {
		o := y.observe()
		if o.Watch == nil || o.Watch.Verdict.Outcome != ship.Wait || o.Slots[o.Active].Release.Number != number {
			return fmt.Errorf("active %s, watch %+v", o.Active, o.Watch)
		}
		st = *o.Watch
		return nil
	})
	return st
}

// observe asks the node, which lives when the server does not.
func (y *ward) observe() platform.Observation {
	y.w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	o, err := y.w.node().Observe(ctx, ship.EnvironmentID{App: "ward", Name: "production"})
	if err != nil {
		y.w.t.Fatal(err)
	}
	return o
}

// serving tells which release answers.
func (y *ward) serving() string {
	y.w.t.Helper()
	_, h, _ := y.get("/healthz")
	return h.Get("X-Patient")
}

// patients sends a load of /page from so many clients, each of them at its own
// address when the proxy trusts us to say so.
type patients struct {
	wg         sync.WaitGroup
	sent, lost atomic.Int64
}

func (y *ward) visit(rate float64) *traffic {
	y.w.t.Helper()
	l, err := load.New(load.Options{URL: y.url(), Rate: rate, Workers: 300, KeepAlive: true, Timeout: 20 * time.Second, Requests: []load.Request{{Path: "/page", Weight: 1}}})
	if err != nil {
		y.w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	tr := &traffic{y.w.t, l, cancel, make(chan load.Snapshot, 1)}
	go func() { tr.done <- l.Run(ctx) }()
	y.w.t.Cleanup(cancel)
	return tr
}

func (tr *traffic) end() load.Snapshot {
	tr.cancel()
	return <-tr.done
}

// from sends requests from the address until stop is called.
func (p *patients) from(ctx context.Context, url, address string, every time.Duration) {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 2}}
	p.wg.Go(func() {
		defer client.CloseIdleConnections()
		for ctx.Err() == nil {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return
			}
			req.Header.Set("X-Forwarded-For", address)
			res, err := client.Do(req)
			if err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				p.sent.Add(1)
				if res.StatusCode >= 500 {
					p.lost.Add(1)
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(every):
			}
		}
	})
}

// bePatient is the application. It ends with the process.
func bePatient() error {
	version, err := os.ReadFile("VERSION")
	if err != nil {
		return err
	}
	name := "v" + strings.TrimSpace(string(version))
	var n atomic.Int64
	ills := func() string {
		own, _ := os.ReadFile(filepath.Join(os.Getenv("ILLS"), name))
		all, _ := os.ReadFile(filepath.Join(os.Getenv("ILLS"), "all"))
		return string(own) + string(all)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Patient", name)
		ill, value, _ := strings.Cut(ills(), "=")
		number, _ := strconv.ParseInt(value, 10, 64)
		page := r.URL.Path == "/page"
		switch {
		case ill == "crash" && page:
			os.Exit(3)
		case ill == "dead", ill == "errors" && page && n.Add(1)%max(number, 1) == 0, ill == "url" && r.URL.Path == "/known-bad":
			http.Error(w, "ill", http.StatusInternalServerError)
			return
		case ill == "slow" && page:
			select {
			case <-time.After(time.Duration(number) * time.Millisecond):
			case <-r.Context().Done():
			}
		case ill == "hang" && page:
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, name)
	})
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	return (&http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}).Serve(l)
}
