package proxy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// tableFor routes everything on the listener main to one address.
func tableFor(revision int64, generation, address string) proxy.Table {
	return proxy.Table{
		Revision:  revision,
		Listeners: []proxy.Listener{{Name: "main"}},
		Environments: []proxy.Environment{{
			ID: shop, Listen: []string{"main"}, Active: ship.Blue,
			Slots: map[ship.Slot]proxy.Backend{ship.Blue: backend(generation, address)},
		}},
	}
}

// supervise is the process that the tests kill: it opens a socket, starts a
// worker that sends everything to the address, says where, and sits there.
func supervise(ctx context.Context, dir, address string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w, err := startWorker(ctx, dir, l)
	if err != nil {
		return err
	}
	if err := w.SetTable(ctx, tableFor(1, "b1", address)); err != nil {
		return err
	}
	ready, err := json.Marshal(l.Addr().String())
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(dir, "ready"), ready, 0o600); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func startWorker(ctx context.Context, dir string, l net.Listener) (*proxy.Worker, error) {
	file, err := proxy.ListenerFile(l)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return proxy.StartWorker(ctx, proxy.StartOptions{
		Command:   []string{os.Args[0], roleWorker, dir},
		Dir:       dir,
		Listeners: map[string]*os.File{"main": file},
	})
}

// workerDir is a folder whose path is short enough for a socket.
func workerDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "shiplock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "worker.log"))
			t.Logf("workers said:\n%s", log)
		}
		os.RemoveAll(dir)
	})
	return dir
}

// worker starts a worker and kills it at the end of the test.
func worker(t *testing.T, dir string, l net.Listener) *proxy.Worker {
	t.Helper()
	w, err := startWorker(t.Context(), dir, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.Kill()
		<-w.Done()
	})
	return w
}

// underLoad runs l until the returned function is called, which fails the
// test when a request failed.
func underLoad(t *testing.T, url string) (l *load, end func()) {
	t.Helper()
	l = &load{url: url}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { defer close(done); l.run(stop, 4) }()
	l.goesOn(t)
	return l, func() {
		t.Helper()
		l.goesOn(t)
		close(stop)
		<-done
		if n := l.failed.Load(); n != 0 {
			t.Errorf("%d of %d requests failed, the first: %s", n, l.sent.Load(), *l.first.Load())
		}
	}
}

func (l *load) goesOn(t *testing.T) {
	t.Helper()
	before := l.sent.Load()
	eventually(t, "requests go on", func() bool { return l.sent.Load() > before+40 })
}

func TestAWorkerIsReplacedUnderLoadWithoutALostRequest(t *testing.T) {
	dir, l := workerDir(t), listen(t)
	defer l.Close()
	orders := &till{orders: map[string]int{}}
	address := app(t, orders.ServeHTTP)
	old := worker(t, dir, l)
	if err := old.SetTable(t.Context(), tableFor(1, "b1", address)); err != nil {
		t.Fatal(err)
	}
	load, end := underLoad(t, "http://"+l.Addr().String()+"/")
	for n := range 3 {
		next := worker(t, dir, l)
		if err := next.SetTable(t.Context(), tableFor(int64(n)+2, "b1", address)); err != nil {
			t.Fatal(err)
		}
		if err := old.Retire(t.Context(), 20*time.Second); err != nil {
			t.Fatal(err)
		}
		<-old.Done()
		if err := old.Err(); err != nil {
			t.Errorf("the old worker ended with %v", err)
		}
		load.goesOn(t)
		old = next
	}
	end()
	for order, n := range orders.orders {
		if n != 1 {
			t.Errorf("order %s arrived %d times", order, n)
		}
	}
	if found, err := proxy.Find(t.Context(), dir); err != nil || len(found) != 1 || found[0].PID() != old.PID() {
		t.Errorf("found %v, %v, want the last worker alone", found, err)
	}
}

func TestTrafficSurvivesTheSupervisorsDeath(t *testing.T) {
	dir := workerDir(t)
	orders := &till{orders: map[string]int{}}
	address := app(t, orders.ServeHTTP)
	supervisor := exec.Command(os.Args[0], roleSupervisor, dir, address)
	supervisor.Stderr = os.Stderr
	if err := supervisor.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill := func() {
		if !killed {
			killed = true
			_ = supervisor.Process.Kill()
			_ = supervisor.Wait()
		}
	}
	defer kill()
	var listening string
	eventually(t, "the supervisor is ready", func() bool {
		data, err := os.ReadFile(filepath.Join(dir, "ready"))
		return err == nil && json.Unmarshal(data, &listening) == nil
	})
	load, end := underLoad(t, "http://"+listening+"/")
	kill()
	load.goesOn(t)

	found, err := proxy.Find(t.Context(), dir)
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
	orphan := found[0]
	defer func() { _ = syscall.Kill(orphan.PID(), syscall.SIGKILL) }()
	files, err := orphan.Listeners(t.Context())
	if err != nil || files["main"] == nil {
		t.Fatalf("listeners %v, %v", files, err)
	}
	l, err := net.FileListener(files["main"])
	if err != nil {
		t.Fatal(err)
	}
	files["main"].Close()
	defer l.Close()
	if l.Addr().String() != listening {
		t.Errorf("the socket listens on %s, want %s", l.Addr(), listening)
	}
	next := worker(t, dir, l)
	if err := next.SetTable(t.Context(), tableFor(2, "b2", address)); err != nil {
		t.Fatal(err)
	}
	if err := orphan.Retire(t.Context(), 20*time.Second); err != nil {
		t.Fatal(err)
	}
	end()
	st, err := next.Status(t.Context())
	if err != nil || st.Environments[shop.String()].Generations["b2"].Counters.Requests == 0 {
		t.Errorf("the new worker's status is %+v, %v", st, err)
	}
}

func TestConnectionsWaitWhileAKilledWorkerIsReplaced(t *testing.T) {
	dir, l := workerDir(t), listen(t)
	defer l.Close()
	address := app(t, says("ok"))
	first := worker(t, dir, l)
	if err := first.SetTable(t.Context(), tableFor(1, "b1", address)); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- first.Wait(t.Context()) }()
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	<-first.Done()
	if err := <-gone; err != nil {
		t.Errorf("waiting for the worker: %v", err)
	}
	got := make(chan error, 1)
	go func() { got <- check(http.Get("http://" + l.Addr().String() + "/")) }()
	second := worker(t, dir, l)
	select {
	case err := <-got:
		t.Errorf("a request was answered before there was a table: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	if err := second.SetTable(t.Context(), tableFor(1, "b1", address)); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Errorf("the request that came meanwhile: %v", err)
	}
	if _, err := os.Stat(first.Path()); err != nil {
		t.Fatalf("the killed worker's socket: %v", err)
	}
	if found, err := proxy.Find(t.Context(), dir); err != nil || len(found) != 1 {
		t.Errorf("found %v, %v", found, err)
	}
	if _, err := os.Stat(first.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the killed worker's socket was not removed: %v", err)
	}
}

func TestAWorkerDrainsAndListensByItsControlSocket(t *testing.T) {
	dir, l, extra := workerDir(t), listen(t), listen(t)
	defer l.Close()
	defer extra.Close()
	w := worker(t, dir, l)
	a := newSlowApp()
	table := tableFor(1, "b1", app(t, a.ServeHTTP))
	table.Environments[0].Slots[ship.Green] = backend("g1", app(t, says("new")))
	if err := w.SetTable(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	got := make(chan answer, 1)
	f := &fixture{t: t, address: l.Addr().String()}
	go func() { got <- f.get("/") }()
	<-a.entered

	file, err := proxy.ListenerFile(extra)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := w.AddListeners(t.Context(), map[string]*os.File{"extra": file}); err != nil {
		t.Fatal(err)
	}
	table.Revision++
	table.Listeners = append(table.Listeners, proxy.Listener{Name: "extra"})
	table.Environments[0].Active = ship.Green
	table.Environments[0].Listen = []string{"main", "extra"}
	if err := w.SetTable(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	if got := (&fixture{t: t, address: extra.Addr().String()}).get("/"); got.body != "new" {
		t.Errorf("the added listener answered %d %q", got.status, got.body)
	}
	r, err := w.Drain(t.Context(), shop, "b1", grace(50*time.Millisecond))
	if err != nil || r.InFlight != 1 || r.Cut != 1 {
		t.Errorf("drain: %+v, %v", r, err)
	}
	if a := <-got; a.status != 504 {
		t.Errorf("the request that was cut got %d", a.status)
	}
	if err := w.SetTable(t.Context(), tableFor(1, "b1", "127.0.0.1:1")); ship.KindOf(err) != ship.Fenced {
		t.Errorf("an older table over the socket: %v", err)
	}
	if _, err := w.Drain(t.Context(), shop, "g1", grace(0)); ship.KindOf(err) != ship.Invalid || !strings.Contains(fmt.Sprint(err), "is active") {
		t.Errorf("draining the active generation over the socket: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := w.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a worker that lives: %v", err)
	}
}

func TestOnlyTheOwnerReachesTheControlSocket(t *testing.T) {
	dir, l := workerDir(t), listen(t)
	defer l.Close()
	w := worker(t, dir, l)
	info, err := os.Stat(w.Path())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v, %v", info.Mode(), err)
	}
	if os.Geteuid() == 0 {
		// Even where the folder lets others in, the worker asks who they are.
		if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(w.Path(), 0o666)); err != nil {
			t.Fatal(err)
		}
		if !askAs(t, w.Path(), 0) {
			t.Error("root was not answered")
		}
		if askAs(t, w.Path(), 65534) {
			t.Error("another user was answered")
		}
	}
	open := workerDir(t)
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := startWorker(t.Context(), open, l); ship.KindOf(err) != ship.Invalid {
		t.Errorf("a folder that others can enter: %v", err)
	}
}

func TestAStrangerOnTheControlSocketHarmsNothing(t *testing.T) {
	dir, l := workerDir(t), listen(t)
	defer l.Close()
	w := worker(t, dir, l)
	for _, message := range []string{"", "x", "\x01\xff\xff\xff\xff", "\x01\x00\x00\x00\x02{]", "GET / HTTP/1.1\r\n\r\n"} {
		c, err := net.Dial("unix", w.Path())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, message)
		c.Close()
	}
	if _, err := w.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

// askAs asks for the worker's status as another user, by a copy of the test
// binary that every user may run, and tells whether there was an answer.
func askAs(t *testing.T, path string, uid uint32) bool {
	t.Helper()
	program := filepath.Join(filepath.Dir(path), "ask")
	data, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(program, data, 0o755); err != nil {
		t.Fatal(err)
	}
	ask := exec.Command(program, roleAsk, path)
	ask.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := ask.CombinedOutput()
	if err != nil {
		t.Fatalf("asking as user %d: %v: %s", uid, err, out)
	}
	return string(out) == answered
}
