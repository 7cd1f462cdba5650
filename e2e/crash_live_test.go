package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/load"
	"github.com/shiplock/shiplock/internal/notify"
	"github.com/shiplock/shiplock/internal/ship"
)

// A bell hears the notifications.
type bell struct {
	*httptest.Server
	mu    sync.Mutex
	heard map[string]int // by run
}

func newBell(t *testing.T, slow time.Duration) *bell {
	b := &bell{heard: map[string]int{}}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m notify.Message
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&m); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		b.mu.Lock()
		b.heard[m.Result.Run]++
		b.mu.Unlock()
		select {
		case <-time.After(slow):
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *bell) times(run string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.heard[run]
}

// told tells whether somebody was told how a run ended, or its events say that
// a crash came while they were: a success is told at most once.
func (b *bell) told(p *project, r ship.Result) bool {
	p.w.t.Helper()
	if b.times(r.Run) > 0 || r.Status != ship.Passed {
		return b.times(r.Run) > 0
	}
	said, _ := p.w.run("watch", r.Run, "--data", p.w.data, "-f", filepath.Join(p.dir, "shiplock.yaml"), "-o", "json")
	return strings.Contains(said, "a crash came while it was told; it is not told twice")
}

// A live command is one whose events are read while it runs.
type live struct {
	t      *testing.T
	cmd    *exec.Cmd
	errOut bytes.Buffer
	events chan ship.Event
	seen   []ship.Event
	text   strings.Builder
	done   chan struct{}
}

// live starts a verb that follows a run.
func (p *project) live(args ...string) *live {
	p.w.t.Helper()
	args = append(args, "--data", p.w.data, "-f", filepath.Join(p.dir, "shiplock.yaml"), "-o", "json")
	l := &live{t: p.w.t, cmd: exec.Command(p.w.binary, args...), events: make(chan ship.Event, 10_000), done: make(chan struct{})}
	l.cmd.Stderr = &l.errOut
	out, err := l.cmd.StdoutPipe()
	if err == nil {
		err = l.cmd.Start()
	}
	if err != nil {
		p.w.t.Fatal(err)
	}
	go func() {
		defer close(l.done)
		defer close(l.events)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			l.text.WriteString(lines.Text() + "\n")
			var e ship.Event
			if json.Unmarshal(lines.Bytes(), &e) == nil && e.Type != "" {
				l.events <- e
			}
		}
	}()
	return l
}

// over tells whether the command has ended.
func (l *live) over() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// started waits until a step has begun, and tells whether it did before the
// command ended.
func (l *live) started(step string) bool {
	l.t.Helper()
	return l.await(func(e ship.Event) bool { return e.Type == ship.EventStarted && e.Step == step })
}

// await waits for an event, and tells whether it came before the command ended.
func (l *live) await(match func(ship.Event) bool) bool {
	l.t.Helper()
	limit := time.After(2 * time.Minute)
	for {
		select {
		case e, ok := <-l.events:
			if !ok {
				return false
			}
			l.seen = append(l.seen, e)
			if match(e) {
				return true
			}
		case <-limit:
			l.t.Fatalf("what was waited for did not happen within 2 minutes:\n%s", tail(l.text.String(), 4000))
		}
	}
}

// end waits for the command and returns how it ended.
func (l *live) end() ended {
	l.t.Helper()
	limit := time.After(3 * time.Minute)
	for open := true; open; {
		select {
		case e, ok := <-l.events:
			if open = ok; ok {
				l.seen = append(l.seen, e)
			}
		case <-limit:
			_ = l.cmd.Process.Kill()
			<-l.done
			_ = l.cmd.Wait()
			l.t.Fatalf("the command did not end within 3 minutes:\n%s%s", tail(l.text.String(), 4000), l.errOut.String())
		}
	}
	<-l.done
	err := l.cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		l.t.Fatal(err)
	}
	e := ended{code: l.cmd.ProcessState.ExitCode(), text: l.text.String() + l.errOut.String(), events: l.seen}
	for _, ev := range l.seen {
		if ev.Type == ship.EventFinal {
			if err := json.Unmarshal(ev.Data, &e.Result); err != nil {
				l.t.Fatal(err)
			}
		}
	}
	return e
}

// steps returns the names of the steps that began, in order.
func (e ended) steps() []string {
	var names []string
	for _, ev := range e.events {
		if ev.Type == ship.EventStarted && !slices.Contains(names, ev.Step) {
			names = append(names, ev.Step)
		}
	}
	return names
}

// A stream of users is a light load, each request on a connection of its own,
// of which every failure is kept.
type users struct {
	t      *testing.T
	load   *load.Load
	cancel context.CancelFunc
	done   chan load.Snapshot

	mu      sync.Mutex
	lost    []load.Answer
	kills   []time.Time // when a proxy worker was killed
	excuses []excuse
}

func (y *yard) users(rate float64) *users {
	y.t.Helper()
	return y.project.users(rate, load.Request{Path: "/products", Weight: 3}, load.Request{Path: "/"},
		load.Request{Method: http.MethodPost, Path: "/orders", Body: `{"key":"$ID","product":1}`})
}

// users begins a load of the given requests.
func (p *project) users(rate float64, requests ...load.Request) *users {
	p.w.t.Helper()
	u := &users{t: p.w.t, done: make(chan load.Snapshot, 1)}
	var err error
	u.load, err = load.New(load.Options{
		URL: p.url(), Rate: rate, Workers: 200, Timeout: 60 * time.Second, Requests: requests,
		Done: func(a load.Answer) {
			if a.Class != "" {
				u.mu.Lock()
				u.lost = append(u.lost, a)
				u.mu.Unlock()
			}
		},
	})
	if err != nil {
		p.w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	u.cancel = cancel
	go func() { u.done <- u.load.Run(ctx) }()
	p.w.t.Cleanup(func() { cancel() })
	return u
}

// workerDies remembers that requests under way at this moment cannot be
// answered: the process that had their connections is gone.
func (u *users) workerDies() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.kills = append(u.kills, time.Now())
}

// allow excuses a status: that of the maintenance page, or of a broken release.
func (u *users) allow(status string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lost = slices.DeleteFunc(u.lost, func(a load.Answer) bool { return a.Class == status })
}

// excused tells whether a request was under way when a worker was killed.
func (u *users) excused(a load.Answer) bool {
	const slack = 50 * time.Millisecond // between the kill and our note of it
	for _, k := range u.kills {
		if a.At.Before(k.Add(slack)) && a.At.Add(a.Latency).After(k.Add(-slack)) && (a.Class == "reset" || a.Class == "closed" || a.Class == "cut") {
			return true
		}
	}
	return false
}

// stop ends the load and fails the test for every request that was lost
// without an excuse.
func (u *users) stop() load.Snapshot {
	u.t.Helper()
	u.cancel()
	s := <-u.done
	u.mu.Lock()
	defer u.mu.Unlock()
	excused := 0
	for _, a := range u.lost {
		if u.excused(a) {
			excused++
			continue
		}
		u.t.Errorf("lost %s %s at %s after %s: %s %s", a.Method, a.Path, a.At.Format("15:04:05.000"), a.Latency, a.Class, a.Error)
	}
	if s.Sent == 0 {
		u.t.Error("nobody asked for anything")
	}
	u.t.Logf("%s; %d of the failed were under way when one of %d workers was killed", s, excused, len(u.kills))
	return s
}

// takenOnce fails the test unless every accepted order is there, and nobody on
// the way sent one twice.
func (y *yard) takenOnce(posts int64) { y.t.Helper(); y.project.takenOnce("/orders", posts) }

func (p *project) takenOnce(path string, posts int64) {
	p.w.t.Helper()
	_, _, body := p.get(path)
	var n struct{ Orders, Attempts int64 }
	if err := json.Unmarshal([]byte(body), &n); err != nil {
		p.w.t.Fatalf("%v: %s", err, body)
	}
	if n.Orders < posts || n.Attempts != n.Orders {
		p.w.t.Errorf("%d orders, %d attempts, %d accepted: want all of them, each sent once", n.Orders, n.Attempts, posts)
	}
}

// killNode kills the supervisor and returns its pid.
func (w *world) killNode() { w.t.Helper(); w.kill(w.nodeInfo().PID) }
