package e2e

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/shiplock/shiplock/internal/load"
	"github.com/shiplock/shiplock/internal/notify"
	"github.com/shiplock/shiplock/internal/ship"
)

// A pace says how long the parts of a deployment take that would otherwise be
// over before they can be hit.
type pace struct {
	delay  time.Duration // of every answer, so that something is left to drain
	pause  string        // of every command, in seconds
	notify time.Duration // the receiver of notifications answers after it
	rows   int           // that a migration counts before it leaves its mark
	watch  string
}

// A yard is a place where a small shop is released again and again, each
// release with one more migration and one more turn of the gate. What was done
// is read where it was done: every migration leaves a mark in a table that
// takes the same one twice, and every gate a line in a file.
type yard struct {
	*project
	t        *testing.T
	pace     pace
	shop     string // path of the program
	database string
	lines    string // file of the gates
	bell     *bell
	releases int // trees written so far; also the number of the newest mark
}

const yardYAML = `
app: shop
release: {exclude: [secrets.env]}
run:
  prepare: [sleep %[1]s]
  setup: [sleep %[1]s]
  processes: {web: {command: "%[8]s --listen 127.0.0.1:$PORT", grace: 5s}}
gates: {once: {run: ["sh", "-c", "echo %[2]d >> %[3]s; sleep %[1]s"]}}
health: {path: /healthz, healthy_after: 3, every: 50ms, give_up: 30s}
warmup: [/, /products]
smoke: [/products]
database: {url: "sqlite:///%[4]s", kind: sqlite, backup: {kind: dump}}
migrations: {tool: sqlfiles}
notify: [{webhook: %[5]q}]
environments:
  production: {platform: process, listen: "127.0.0.1:%[6]d", gates: [once], drain: 10s, hold: 20s, keep_old: 5m, watch: {for: %[7]s, error_rate: 50%%, min_requests: 3}}
`

// shopBinary builds the shop once. It stays outside the releases, which are
// packed, sent and unpacked the quicker.
var shopBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(binary), "shop")
	cmd := exec.Command("go", "build", "-o", path, "../examples/go")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the shop: %w: %s", err, out)
	}
	return path, nil
})

func newYard(t *testing.T, w *world, p pace) *yard {
	t.Helper()
	dir := t.TempDir()
	shop, err := shopBinary()
	if err != nil {
		t.Fatal(err)
	}
	y := &yard{t: t, pace: p, shop: shop, database: filepath.Join(dir, "shop.db"), lines: filepath.Join(dir, "gates"), bell: newBell(t, p.notify)}
	y.project = &project{w: w, dir: filepath.Join(dir, "project"), port: freePort(t), host: "127.0.0.1"}
	copyTree(t, filepath.Join("..", "examples", "go", "migrations"), filepath.Join(y.dir, "migrations"))
	y.write("migrations/00100_start.sql", "-- +goose Up\nCREATE TABLE marks (migration INTEGER NOT NULL, counted INTEGER NOT NULL);\n\n-- +goose Down\nDROP TABLE marks;\n", 0o644)
	return y
}

// another is the same shop in another folder, as a second person has it.
func (y *yard) another() *yard {
	y.t.Helper()
	twin := *y
	twin.project = &project{w: y.w, dir: filepath.Join(y.t.TempDir(), "project"), port: y.port, host: y.host}
	copyTree(y.t, y.dir, twin.dir)
	return &twin
}

// next writes the tree of the next release.
func (y *yard) next() {
	y.t.Helper()
	y.releases++
	y.configure()
	version := fmt.Sprintf("%d\n", y.releases)
	if y.pace.delay > 0 {
		version += fmt.Sprintf("delay=%d\n", y.pace.delay.Milliseconds())
	}
	y.write("VERSION", version, 0o644)
	y.migration("backfill", fmt.Sprintf("ALTER TABLE products ADD COLUMN m%d TEXT;", y.releases), fmt.Sprintf("ALTER TABLE products DROP COLUMN m%d;", y.releases))
}

// breaking writes the tree of a release that takes away what the one before
// has: the running release could not live with it.
func (y *yard) breaking() {
	y.t.Helper()
	column := y.releases
	y.next()
	y.migration("contract", fmt.Sprintf("ALTER TABLE products DROP COLUMN m%d;", column), fmt.Sprintf("ALTER TABLE products ADD COLUMN m%d TEXT;", column))
}

func (y *yard) configure() {
	y.write("shiplock.yaml", fmt.Sprintf(yardYAML, y.pace.pause, y.releases, y.lines, y.database, y.bell.URL, y.port, y.pace.watch, y.shop), 0o644)
}

func (y *yard) migration(phase, up, down string) {
	y.write(fmt.Sprintf("migrations/%05d_mark.sql", 1000+y.releases), fmt.Sprintf(`-- shiplock: phase=%s reason="no release reads marks"
-- +goose Up
%s
INSERT INTO marks (migration, counted)
    WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < %d) SELECT %d, count(*) FROM n;

-- +goose Down
%s
`, phase, up, max(1, y.pace.rows), y.releases, down), 0o644)
}

// change replaces text in a file of the tree.
func (y *yard) change(name, before, after string) {
	y.t.Helper()
	b, err := os.ReadFile(filepath.Join(y.dir, name))
	if err != nil {
		y.t.Fatal(err)
	}
	if !strings.Contains(string(b), before) {
		y.t.Fatalf("%s has no %q:\n%s", name, before, b)
	}
	y.write(name, strings.Replace(string(b), before, after, 1), 0o644)
}

// query returns the rows of the shop's database.
func (y *yard) query(text string) []string {
	y.t.Helper()
	db, err := sql.Open("sqlite", "file:"+y.database+"?mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		y.t.Fatal(err)
	}
	defer db.Close()
	found, err := db.Query(text)
	if err != nil {
		y.t.Fatalf("%s: %v", text, err)
	}
	defer found.Close()
	var all []string
	for found.Next() {
		var s string
		if err := found.Scan(&s); err != nil {
			y.t.Fatal(err)
		}
		all = append(all, s)
	}
	if err := found.Err(); err != nil {
		y.t.Fatal(err)
	}
	return all
}

// appliedOnce fails the test unless goose's table, our ledger, the schema and
// the marks agree that each of the first n migrations was applied, and once.
func (y *yard) appliedOnce(n int) {
	y.t.Helper()
	var marks, versions, records []string
	for i := 1; i <= n; i++ {
		marks = append(marks, fmt.Sprint(i))
		versions = append(versions, fmt.Sprint(1000+i))
		records = append(records, fmt.Sprintf("%05d_mark done", 1000+i))
	}
	for _, c := range []struct {
		what, query string
		want        []string
	}{
		{"marks", "SELECT migration FROM marks ORDER BY rowid", marks},
		{"goose's table", "SELECT version_id FROM goose_db_version WHERE version_id > 1000 AND is_applied ORDER BY id", versions},
		{"the ledger", "SELECT migration || ' ' || status FROM _shiplock_migration WHERE migration LIKE '%\\_mark%' ESCAPE '\\' ORDER BY migration", records},
	} {
		got := y.query(c.query)
		if c.what == "the ledger" {
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], ".sql", "")
			}
		}
		if !slices.Equal(got, c.want) {
			y.t.Errorf("%s: got %v, want %v", c.what, got, c.want)
		}
	}
	if bad := y.query("SELECT migration || ' ' || status FROM _shiplock_migration WHERE status <> 'done'"); len(bad) > 0 {
		y.t.Errorf("the ledger has open records: %v", bad)
	}
}

// gatesRun returns how often the gate of each release ran.
func (y *yard) gatesRun() map[string]int {
	y.t.Helper()
	b, err := os.ReadFile(y.lines)
	if err != nil {
		y.t.Fatal(err)
	}
	n := map[string]int{}
	for _, line := range strings.Fields(string(b)) {
		n[line]++
	}
	return n
}

// gatesOnce fails the test unless the gate of each of the first n releases ran
// once.
func (y *yard) gatesOnce(n int) {
	y.t.Helper()
	ran := y.gatesRun()
	for i := 1; i <= n; i++ {
		if ran[fmt.Sprint(i)] != 1 {
			y.t.Errorf("the gate of release %d ran %d times, want once", i, ran[fmt.Sprint(i)])
		}
	}
}

// serves fails the test unless exactly the given release serves: the node's
// state, its instances and a few new connections all say so.
func (y *yard) serves(version int) {
	y.t.Helper()
	y.w.eventually(time.Minute, "every instance of the active slot runs", func() error {
		st := y.status()
		active := st.Observed.Slots[st.Observed.Active]
		if st.Observed.Active == "" || len(active.Instances) == 0 {
			return fmt.Errorf("active slot %q has %d instances", st.Observed.Active, len(active.Instances))
		}
		for _, i := range active.Instances {
			if i.State != "running" {
				return fmt.Errorf("%s is %s", i.ID, i.State)
			}
		}
		if st.Observed.Mode != ship.Serving {
			return fmt.Errorf("the mode is %s", st.Observed.Mode)
		}
		return nil
	})
	for range 3 {
		if code, header, body := y.get("/products"); code != http.StatusOK || header.Get("X-Shop-Version") != fmt.Sprint(version) {
			y.t.Errorf("version %q answers %d, want version %d: %s", header.Get("X-Shop-Version"), code, version, body)
		}
	}
}

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
	l := &live{t: p.w.t, cmd: exec.Command(binary, args...), events: make(chan ship.Event, 10_000), done: make(chan struct{})}
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

	mu    sync.Mutex
	lost  []load.Answer
	kills []time.Time // when a proxy worker was killed
}

func (y *yard) users(rate float64) *users {
	y.t.Helper()
	u := &users{t: y.t, done: make(chan load.Snapshot, 1)}
	var err error
	u.load, err = load.New(load.Options{
		URL: y.url(), Rate: rate, Workers: 200, Timeout: 60 * time.Second,
		Requests: []load.Request{{Path: "/products", Weight: 3}, {Path: "/"}, {Method: http.MethodPost, Path: "/orders", Body: `{"key":"$ID","product":1}`}},
		Done: func(a load.Answer) {
			if a.Class != "" {
				u.mu.Lock()
				u.lost = append(u.lost, a)
				u.mu.Unlock()
			}
		},
	})
	if err != nil {
		y.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	u.cancel = cancel
	go func() { u.done <- u.load.Run(ctx) }()
	y.t.Cleanup(func() { cancel() })
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
func (y *yard) takenOnce(posts int64) {
	y.t.Helper()
	_, _, body := y.get("/orders")
	var n struct{ Orders, Attempts int64 }
	if err := json.Unmarshal([]byte(body), &n); err != nil {
		y.t.Fatalf("%v: %s", err, body)
	}
	if n.Orders < posts || n.Attempts != n.Orders {
		y.t.Errorf("%d orders, %d attempts, %d accepted: want all of them, each sent once", n.Orders, n.Attempts, posts)
	}
}

// killNode kills the supervisor and returns its pid.
func (w *world) killNode() { w.t.Helper(); w.kill(w.nodeInfo().PID) }
