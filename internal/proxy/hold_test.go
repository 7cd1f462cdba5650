package proxy_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestHeldRequestsGoToWhateverIsActiveThen(t *testing.T) {
	var old atomic.Int64
	f := start(t, map[ship.Slot]proxy.Backend{
		ship.Blue: backend("b1", app(t, func(http.ResponseWriter, *http.Request) { old.Add(1) })),
		ship.Green: backend("g1", app(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			_, _ = io.WriteString(w, "new "+string(body))
		})),
	})
	f.apply(func(e *proxy.Environment) { e.Mode = ship.Holding })
	got := make(chan answer, 5)
	for range 5 {
		go func() {
			req, _ := http.NewRequest(http.MethodPost, f.url("/"), strings.NewReader("order"))
			got <- f.do(req)
		}()
	}
	eventually(t, "five wait", func() bool { return f.status().Waiting == 5 })
	f.apply(func(e *proxy.Environment) { e.Active = ship.Green }) // still holding
	f.apply(func(e *proxy.Environment) { e.Mode = ship.Serving })
	for range 5 {
		if a := <-got; a.status != 200 || a.body != "new order" {
			t.Errorf("answered %d %q", a.status, a.body)
		}
	}
	st := f.status()
	if old.Load() != 0 || st.Waiting != 0 || st.Held != 5 || st.Overflowed != 0 {
		t.Errorf("the old release got %d, status %+v", old.Load(), st)
	}
}

func TestAHoldLetsNothingInOnceItIsInForce(t *testing.T) {
	f, a := slowSwap(t)
	under := f.begin(a)
	f.apply(func(e *proxy.Environment) { e.Mode = ship.Holding })
	if g := f.generation("b1"); g.InFlight != 1 || g.Draining {
		t.Errorf("status %+v", g)
	}
	close(a.gate)
	<-under
	eventually(t, "what was under way ended", func() bool { return f.generation("b1").InFlight == 0 })
	held := make(chan answer, 1)
	go func() { held <- f.get("/") }()
	eventually(t, "a request waits", func() bool { return f.status().Waiting == 1 })
	if n := len(a.entered); n != 0 {
		t.Errorf("%d requests reached the application during the hold", n)
	}
	f.apply(func(e *proxy.Environment) { e.Mode = ship.Serving })
	if got := <-held; got.body != "done" {
		t.Errorf("answered %d %q", got.status, got.body)
	}
}

func TestAHoldIsBoundedInNumberAndTime(t *testing.T) {
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, says("ok")))})
	f.apply(func(e *proxy.Environment) {
		e.Mode, e.HoldMax, e.HoldFor, e.RetryAfter = ship.Holding, 1, 20*time.Second, 1500*time.Millisecond
	})
	first := make(chan answer, 1)
	go func() { first <- f.get("/") }()
	eventually(t, "one waits", func() bool { return f.status().Waiting == 1 })
	got := f.get("/")
	if got.status != 503 || got.header.Get("Retry-After") != "2" || !strings.Contains(got.body, "Too many requests are waiting") {
		t.Errorf("over the number: %d %v %q", got.status, got.header, got.body)
	}
	f.apply(func(e *proxy.Environment) { e.Mode = ship.Serving })
	if got := <-first; got.status != 200 {
		t.Errorf("the one that waited: %d %q", got.status, got.body)
	}
	f.apply(func(e *proxy.Environment) { e.Mode, e.HoldFor = ship.Holding, 20*time.Millisecond })
	if got := f.get("/"); got.status != 503 || !strings.Contains(got.body, "takes longer than this request could wait") {
		t.Errorf("over the time: %d %q", got.status, got.body)
	}
	if st := f.status(); st.Overflowed != 2 || st.Waiting != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestAHeldClientThatLeavesLeavesTheQueue(t *testing.T) {
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, says("ok")))})
	f.apply(func(e *proxy.Environment) { e.Mode = ship.Holding })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, f.url("/"), strings.NewReader("order"))
		_, err := http.DefaultClient.Do(req)
		done <- err
	}()
	eventually(t, "one waits", func() bool { return f.status().Waiting == 1 })
	cancel()
	<-done
	eventually(t, "nobody waits", func() bool { return f.status().Waiting == 0 })
	f.apply(func(e *proxy.Environment) { e.Mode = ship.Serving })
	if n := f.generation("b1").Counters.Requests; n != 0 {
		t.Errorf("%d requests reached the application", n)
	}
}

func TestHoldsUnderLoadLoseNothing(t *testing.T) {
	tills := map[ship.Slot]*till{}
	slots := map[ship.Slot]proxy.Backend{}
	for _, slot := range []ship.Slot{ship.Blue, ship.Green} {
		tills[slot] = &till{orders: map[string]int{}}
		slots[slot] = backend(string(slot), app(t, tills[slot].ServeHTTP))
	}
	f := start(t, slots)
	l := &load{url: f.url("/")}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { defer close(done); l.run(stop, 6) }()
	slot := ship.Blue
	for range 40 {
		before := l.sent.Load()
		eventually(t, "requests go on", func() bool { return l.sent.Load() > before+4 })
		f.apply(func(e *proxy.Environment) { e.Mode = ship.Holding })
		eventually(t, "nothing is under way", func() bool { return f.generation(string(slot)).InFlight == 0 })
		tills[slot].closed.Store(true) // where a migration would run
		eventually(t, "requests wait", func() bool { return f.status().Waiting > 2 })
		tills[slot].closed.Store(false)
		slot = slot.Other()
		f.apply(func(e *proxy.Environment) { e.Mode, e.Active = ship.Serving, slot })
	}
	close(stop)
	<-done
	if n := l.failed.Load(); n != 0 {
		t.Errorf("%d of %d requests failed, the first: %s", n, l.sent.Load(), *l.first.Load())
	}
	for slot, till := range tills {
		if n := till.late.Load(); n != 0 {
			t.Errorf("%s saw %d requests during a hold", slot, n)
		}
	}
	if st := f.status(); st.Held == 0 {
		t.Error("no request was held: the test shows nothing")
	}
}
