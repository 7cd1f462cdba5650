package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// slowApp answers when its gate is closed, says so on entered, and speaks
// WebSocket on /ws and event streams on /events.
type slowApp struct {
	entered chan struct{}
	gate    chan struct{}
}

func newSlowApp() *slowApp {
	return &slowApp{entered: make(chan struct{}, 100), gate: make(chan struct{})}
}

func (a *slowApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/ws":
		websocket.Server{Handler: func(c *websocket.Conn) { _, _ = io.Copy(c, c) }}.ServeHTTP(w, r)
	case "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: first\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	default:
		a.entered <- struct{}{}
		select {
		case <-a.gate:
			_, _ = io.WriteString(w, "done")
		case <-r.Context().Done():
		}
	}
}

// begin sends a request and returns where its answer comes, once the
// application has it.
func (f *fixture) begin(a *slowApp) <-chan answer {
	f.t.Helper()
	got := make(chan answer, 1)
	go func() { got <- f.get("/") }()
	<-a.entered
	return got
}

func slowSwap(t *testing.T) (*fixture, *slowApp) {
	a := newSlowApp()
	return start(t, map[ship.Slot]proxy.Backend{
		ship.Blue:  backend("b1", app(t, a.ServeHTTP)),
		ship.Green: backend("g1", app(t, says("new"))),
	}), a
}

func TestADrainWaitsForTheRequestsUnderWay(t *testing.T) {
	f, a := slowSwap(t)
	first, second := f.begin(a), f.begin(a)
	f.shift(ship.Green)
	if got := f.get("/"); got.body != "new" {
		t.Errorf("after the swap a request was answered %q", got.body)
	}
	if g := f.generation("b1"); g.InFlight != 2 || !g.Draining || g.Drained {
		t.Errorf("while draining: %+v", g)
	}
	report := make(chan proxy.DrainReport, 1)
	go func() {
		r, err := f.proxy.Drain(t.Context(), shop, "b1", grace(20*time.Second))
		if err != nil {
			t.Error(err)
		}
		report <- r
	}()
	close(a.gate)
	if got := (<-first).body + (<-second).body; got != "donedone" {
		t.Errorf("the requests under way were answered %q", got)
	}
	if r := <-report; r.InFlight != 2 || r.Drained != 2 || r.Cut != 0 || r.Took <= 0 {
		t.Errorf("report %+v", r)
	}
	if g := f.generation("b1"); !g.Drained || g.Draining {
		t.Errorf("after the drain: %+v", g)
	}
	again, err := f.proxy.Drain(t.Context(), shop, "b1", grace(0))
	if err != nil || again.Drained != 2 {
		t.Errorf("asked again: %+v, %v", again, err)
	}
}

func TestADrainCutsAtItsDeadline(t *testing.T) {
	f, a := slowSwap(t)
	ordinary := f.begin(a)
	f.shift(ship.Green)
	r, err := f.proxy.Drain(t.Context(), shop, "b1", grace(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	if r.InFlight != 1 || r.Drained != 0 || r.Cut != 1 || r.Lasting != 0 || r.Took < 50*time.Millisecond {
		t.Errorf("report %+v", r)
	}
	if got := <-ordinary; got.status != 504 || !strings.Contains(got.body, "Whether it took effect is not known") {
		t.Errorf("the ordinary request was answered %d %q", got.status, got.body)
	}
	if c := f.generation("b1").Counters; c.Cut != 1 || c.Errors != 0 {
		t.Errorf("counters %+v", c)
	}
}

func TestARollbackTakesTheOldReleaseBackIntoService(t *testing.T) {
	f, a := slowSwap(t)
	close(a.gate)
	f.shift(ship.Green)
	if _, err := f.proxy.Drain(t.Context(), shop, "b1", grace(time.Second)); err != nil {
		t.Fatal(err)
	}
	f.shift(ship.Blue)
	if got := f.get("/"); got.body != "done" {
		t.Errorf("answered %q", got.body)
	}
	if _, err := f.proxy.Drain(t.Context(), shop, "b1", grace(time.Second)); ship.KindOf(err) != ship.Invalid {
		t.Errorf("draining the active release: %v", err)
	}
	if r, err := f.proxy.Drain(t.Context(), shop, "unheard", grace(time.Second)); err != nil || r.InFlight != 0 || r.Protocols != nil {
		t.Errorf("draining an unknown generation: %+v, %v", r, err)
	}
}

func TestAClientThatLeavesIsNoError(t *testing.T) {
	f, a := slowSwap(t)
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, f.url("/"), nil)
	go func() { <-a.entered; cancel() }()
	if _, err := http.DefaultClient.Do(req); err == nil {
		t.Fatal("the request was answered")
	}
	eventually(t, "the request ended", func() bool { return f.generation("b1").InFlight == 0 })
	if c := f.generation("b1").Counters; c.Aborted != 1 || c.Errors != 0 || c.Requests != 0 {
		t.Errorf("counters %+v", c)
	}
}

func TestWebSocketsAndEventStreamsPassAtOnce(t *testing.T) {
	f, _ := slowSwap(t)
	ws := f.websocket()
	for range 3 {
		if _, err := ws.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 4)
		if _, err := io.ReadFull(ws, got); err != nil || string(got) != "ping" {
			t.Fatalf("echoed %q, %v", got, err)
		}
	}
	events := f.events()
	if line, err := bufio.NewReader(events).ReadString('\n'); err != nil || line != "data: first\n" {
		t.Fatalf("first event %q, %v", line, err)
	}
	ws.Close()
	events.Close()
	eventually(t, "both ended", func() bool { g := f.generation("b1"); return g.InFlight == 0 && g.Lasting == 0 })
	if c := f.generation("b1").Counters; c.Errors != 0 || c.Latency.Count() != 0 {
		t.Errorf("counters %+v", c)
	}
}

func (f *fixture) websocket() *websocket.Conn {
	f.t.Helper()
	ws, err := websocket.Dial("ws://"+f.address+"/ws", "", "http://"+f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	_ = ws.SetDeadline(time.Now().Add(20 * time.Second))
	return ws
}

func (f *fixture) events() io.ReadCloser {
	f.t.Helper()
	c, err := net.Dial("tcp", f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "GET /events HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return struct {
		io.Reader
		io.Closer
	}{res.Body, c}
}

func TestADrainDoesNotWaitForAClientThatDoesNotRead(t *testing.T) {
	var written atomic.Int64
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for piece := make([]byte, 64<<10); ; {
			n, err := w.Write(piece)
			if written.Add(int64(n)); err != nil {
				return
			}
		}
	}
	f := start(t, map[ship.Slot]proxy.Backend{
		ship.Blue: backend("b1", app(t, endless)), ship.Green: backend("g1", app(t, says("new"))),
	})
	c, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	eventually(t, "every buffer on the way is full", func() bool {
		before := written.Load()
		<-time.After(100 * time.Millisecond)
		return before > 0 && written.Load() == before
	})
	f.shift(ship.Green)
	r, err := f.proxy.Drain(t.Context(), shop, "b1", grace(10*time.Millisecond))
	if err != nil || r.InFlight != 1 || r.Cut != 1 || r.Drained != 0 {
		t.Errorf("report %+v, %v", r, err)
	}
}

func TestAClientThatBreaksOffItsBodyIsNoError(t *testing.T) {
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))})
	for _, head := range []string{"Content-Length: 1000000", "Transfer-Encoding: chunked"} {
		c, err := net.Dial("tcp", f.address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: shop.test\r\n%s\r\n\r\n5\r\nhello\r\n", head)
		eventually(t, "the request is under way", func() bool { return f.generation("b1").InFlight == 1 })
		c.Close()
		eventually(t, "the request ended", func() bool { return f.generation("b1").InFlight == 0 })
	}
	if c := f.generation("b1").Counters; c.Errors != 0 || c.Aborted != 2 {
		t.Errorf("counters %+v", c)
	}
}
