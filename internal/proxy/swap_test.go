package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// A till counts the orders it got by their number, and the requests that came
// while it was closed.
type till struct {
	mu     sync.Mutex
	orders map[string]int
	closed atomic.Bool
	late   atomic.Int64
}

func (b *till) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.closed.Load() {
		b.late.Add(1)
	}
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(400)
			return
		}
		b.mu.Lock()
		b.orders[string(body[:16])]++
		b.mu.Unlock()
	}
	if b.closed.Load() {
		b.late.Add(1)
	}
	_, _ = io.WriteString(w, "ok")
}

// load sends requests in a constant mixture until stop is closed.
type load struct {
	url    string
	sent   atomic.Int64
	failed atomic.Int64
	first  atomic.Pointer[string]
	mu     sync.Mutex
	orders map[string]bool // POSTs that were answered
}

func (l *load) run(stop <-chan struct{}, workers int) {
	l.orders = map[string]bool{}
	var wg sync.WaitGroup
	for n := range workers {
		wg.Go(func() {
			transport := &http.Transport{DisableKeepAlives: n%4 == 3}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := l.one(client, n, i); err != nil {
					l.failed.Add(1)
					text := fmt.Sprintf("request %d of client %d: %v", i, n, err)
					l.first.CompareAndSwap(nil, &text)
				}
				l.sent.Add(1)
			}
		})
	}
	wg.Wait()
}

// one is a GET, a small POST that the proxy can keep, or one that it streams.
func (l *load) one(client *http.Client, n, i int) error {
	if i%3 == 0 {
		res, err := client.Get(l.url)
		return check(res, err)
	}
	order := fmt.Sprintf("%06d-%09d", n, i)
	size := 100
	if i%3 == 2 && i%30 == 2 {
		size = 100 << 10
	}
	body := bytes.Repeat([]byte("x"), size)
	copy(body, order)
	// A reader of unknown type has no GetBody: this client never sends twice.
	req, err := http.NewRequest(http.MethodPost, l.url, struct{ io.Reader }{bytes.NewReader(body)})
	if err != nil {
		return err
	}
	if i%2 == 0 {
		req.ContentLength = int64(size)
	}
	res, err := client.Do(req)
	if err := check(res, err); err != nil {
		return err
	}
	l.mu.Lock()
	l.orders[order] = true
	l.mu.Unlock()
	return nil
}

func check(res *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != 200 {
		return errors.New(res.Status + " " + strings.TrimSpace(string(body)))
	}
	return nil
}

func TestHundredsOfSwapsUnderLoadLoseAndDoubleNothing(t *testing.T) {
	const swaps = 300
	slots := map[ship.Slot]proxy.Backend{}
	tills := map[ship.Slot]*till{}
	for _, slot := range []ship.Slot{ship.Blue, ship.Green} {
		tills[slot] = &till{orders: map[string]int{}}
		slots[slot] = backend(string(slot), app(t, tills[slot].ServeHTTP), app(t, tills[slot].ServeHTTP))
	}
	tills[ship.Green].closed.Store(true)
	f := start(t, slots)
	l := &load{url: f.url("/")}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { defer close(done); l.run(stop, 8) }()

	from, inFlight := ship.Blue, int64(0)
	for n := range swaps {
		to := from.Other()
		before := l.sent.Load()
		tills[to].closed.Store(false)
		f.shift(to)
		report, err := f.proxy.Drain(t.Context(), shop, string(from), grace(10*time.Second))
		if err != nil {
			t.Fatalf("swap %d: %v", n, err)
		}
		tills[from].closed.Store(true) // drained: from here on any request is one too many
		if report.Cut != 0 || report.Drained != report.InFlight || report.Lost != 0 || report.GivenUp != 0 ||
			report.Admitted < report.InFlight || report.Finished < report.Drained || report.Admitted < report.Finished {
			t.Fatalf("swap %d: %+v", n, report)
		}
		inFlight += report.InFlight
		from = to
		eventually(t, "requests go on", func() bool { return l.sent.Load() > before+4 })
	}
	close(stop)
	<-done

	if n := l.failed.Load(); n != 0 {
		t.Errorf("%d of %d requests failed, the first: %s", n, l.sent.Load(), *l.first.Load())
	}
	got := maps.Clone(tills[ship.Blue].orders)
	for order, n := range tills[ship.Green].orders {
		got[order] += n
	}
	for order, n := range got {
		if n != 1 || !l.orders[order] {
			t.Errorf("order %s arrived %d times", order, n)
		}
	}
	if len(got) != len(l.orders) {
		t.Errorf("%d orders arrived, %d were answered", len(got), len(l.orders))
	}
	for slot, till := range tills {
		if n := till.late.Load(); n != 0 {
			t.Errorf("%d requests reached %s after it was drained", n, slot)
		}
	}
	if inFlight == 0 {
		t.Error("no swap had a request under way: the test shows nothing")
	}
	t.Logf("%d requests, %d swaps, %d requests under way at a swap", l.sent.Load(), swaps, inFlight)
}

func TestARequestThatTheNewReleaseRefusesGoesToTheOldOne(t *testing.T) {
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, says("old"))), ship.Green: backend("g1", refusing(t))})
	f.shift(ship.Green)
	if got := f.get("/"); got.body != "old" {
		t.Fatalf("while draining: %d %q", got.status, got.body)
	}
	if c := f.generation("g1").Counters; c.Requests != 1 || c.Errors != 1 || c.InARow != 1 {
		t.Errorf("the new release has %+v, want the error to be its own", c)
	}
	if c := f.generation("b1").Counters; c.Requests != 1 || c.Errors != 0 {
		t.Errorf("the old release has %+v", c)
	}
	if _, err := f.proxy.Drain(t.Context(), shop, "b1", grace(time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := f.get("/"); got.status != 502 || !strings.Contains(got.body, "cannot be reached") {
		t.Errorf("after the drain: %d %q", got.status, got.body)
	}
	if c := f.generation("b1").Counters; c.Requests != 1 {
		t.Errorf("the drained release saw %d requests", c.Requests)
	}
}

func TestAReleaseThatWasNeverActiveGetsNoRequests(t *testing.T) {
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", refusing(t)), ship.Green: backend("g1", app(t, says("candidate")))})
	if got := f.get("/"); got.status != 502 {
		t.Errorf("got %d %q", got.status, got.body)
	}
}

func TestARefusedRequestIsSentToAnotherInstance(t *testing.T) {
	var posts atomic.Int64
	alive := app(t, func(_ http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); string(body) == "order" {
			posts.Add(1)
		}
	})
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", refusing(t), alive)})
	for range 4 {
		for _, length := range []int64{5, -1} {
			req, _ := http.NewRequest(http.MethodPost, f.url("/"), struct{ io.Reader }{strings.NewReader("order")})
			req.ContentLength = length
			if got := f.do(req); got.status != 200 {
				t.Fatalf("got %d %q", got.status, got.body)
			}
		}
	}
	c := f.generation("b1").Counters
	if posts.Load() != 8 || c.Errors != 0 || c.Refused == 0 || c.Replayed != c.Refused {
		t.Errorf("%d posts arrived, counters %+v", posts.Load(), c)
	}
}

func TestAWrittenPOSTIsNeverSentTwice(t *testing.T) {
	var posts atomic.Int64
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.ReadAll(r.Body)
			posts.Add(1)
			panic(http.ErrAbortHandler) // the instance dies with the order in its hand
		}
	}))})
	for range 3 {
		f.get("/") // leaves a connection that the POST reuses
		req, _ := http.NewRequest(http.MethodPost, f.url("/"), strings.NewReader("order"))
		req.Header.Set("Idempotency-Key", "1")
		if got := f.do(req); got.status != 502 {
			t.Errorf("got %d %q", got.status, got.body)
		}
	}
	if n := posts.Load(); n != 3 {
		t.Errorf("3 orders arrived %d times", n)
	}
}

func TestANewGenerationBeginsWithNewCounters(t *testing.T) {
	address := app(t, says("ok"))
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", address)})
	f.get("/")
	f.apply(func(e *proxy.Environment) {
		e.Slots = map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", address, refusing(t))}
	})
	if n := f.generation("b1").Counters.Requests; n != 1 {
		t.Errorf("another address reset the counters: %d requests", n)
	}
	f.apply(func(e *proxy.Environment) {
		e.Slots = map[ship.Slot]proxy.Backend{ship.Blue: backend("b2", address)}
	})
	if n := f.generation("b2").Counters.Requests; n != 0 {
		t.Errorf("the new generation has %d requests", n)
	}
	if _, there := f.status().Generations["b1"]; there {
		t.Error("the old generation is still reported, though nothing of it is under way")
	}
}

// A body that is streamed cannot be sent again. On a connection that was used
// before, the instance may just be closing it.
func TestAStreamedBodyGoesOverANewConnection(t *testing.T) {
	used := make(chan int64, 20)
	type counter struct{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n := r.Context().Value(counter{}).(*atomic.Int64).Add(1)
		if _, err := io.Copy(io.Discard, r.Body); err == nil && r.Method == http.MethodPost {
			used <- n
		}
	}))
	s.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, counter{}, &atomic.Int64{})
	}
	s.Start()
	defer s.Close()
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", s.Listener.Addr().String())})
	for n := range 6 {
		f.get("/") // leaves a connection that could be used again
		req, _ := http.NewRequest(http.MethodPost, f.url("/"), struct{ io.Reader }{strings.NewReader(strings.Repeat("x", 100<<10))})
		if n%2 == 0 {
			req.ContentLength = 100 << 10
		}
		if got := f.do(req); got.status != 200 {
			t.Fatalf("answered %d %q", got.status, got.body)
		}
		if n := <-used; n != 1 {
			t.Errorf("the order is request %d of its connection", n)
		}
	}
}
