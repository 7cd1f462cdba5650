package proxy_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

func (f *fixture) traffic(q proxy.Query) proxy.Traffic {
	q.Environment = f.table.Environments[0].ID
	return f.proxy.Traffic(f.t.Context(), q)
}

func TestAHangIsCountedAsSlowWhileItLasts(t *testing.T) {
	release := make(chan struct{})
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, func(http.ResponseWriter, *http.Request) { <-release }))})
	f.apply(func(e *proxy.Environment) { e.SlowerThan = 20 * time.Millisecond })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.get("/")
	}()
	eventually(t, "it is counted", func() bool { return f.generation("b1").Counters.Slow == 1 })
	if g := f.generation("b1"); g.InFlight != 1 || g.Counters.Requests != 0 || g.Counters.Timed != 1 {
		t.Errorf("got %+v", g)
	}
	close(release)
	<-ended
	eventually(t, "it ended", func() bool { return f.generation("b1").InFlight == 0 })
	if c := f.generation("b1").Counters; c.Requests != 1 || c.Slow != 1 || c.Timed != 1 || c.Errors != 0 {
		t.Errorf("it was counted again: %+v", c)
	}
}

func TestA5AClientThatSendsAndReadsSlowlyMakesNoReleaseSlow(t *testing.T) {
	const size = 8 << 20
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", "8388608")
		_, _ = w.Write(make([]byte, size))
	}))})
	f.apply(func(e *proxy.Environment) { e.SlowerThan = 150 * time.Millisecond })
	c, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// A body of unknown length is not buffered: its pieces take their time.
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	for range 4 {
		<-time.After(100 * time.Millisecond)
		_, _ = io.WriteString(c, "1\r\nx\r\n")
	}
	_, _ = io.WriteString(c, "0\r\n\r\n")
	<-time.After(400 * time.Millisecond) // it does not read yet
	if g := f.generation("b1"); g.InFlight != 1 || g.Counters.Slow != 0 {
		t.Errorf("got %+v", g)
	}
	if n, err := io.CopyN(io.Discard, c, size); err != nil {
		t.Fatalf("read %d: %v", n, err)
	}
	eventually(t, "it ended", func() bool { return f.generation("b1").InFlight == 0 })
	if c := f.generation("b1").Counters; c.Slow != 0 || c.Timed != 1 || c.Requests != 1 {
		t.Errorf("got %+v", c)
	}
}

func TestAWaiterHearsOfAnErrorAtOnceAndOfNothingInTime(t *testing.T) {
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))})
	got := make(chan proxy.Traffic)
	go func() { got <- f.traffic(proxy.Query{Generation: "b1", Within: time.Minute}) }()
	f.get("/") // is no news
	f.get("/orders/7?card=4711", "X-Request-Id", "id-1")
	heard := <-got
	if heard.News != 1 || len(heard.Failures) > 1 {
		t.Errorf("got %+v", heard)
	}
	eventually(t, "the request is kept", func() bool { return len(f.traffic(proxy.Query{Generation: "b1"}).Failures) == 1 })
	kept := f.traffic(proxy.Query{Generation: "b1"}).Failures[0]
	if kept.Path != "/orders/7" || kept.Method != "GET" || kept.Status != 500 || kept.ID != "id-1" {
		t.Errorf("kept %+v", kept)
	}
	if again := f.traffic(proxy.Query{Generation: "b1", Seen: 1, Within: 10 * time.Millisecond}); again.News != 1 {
		t.Errorf("got %+v", again)
	}
	f.get("/fails")
	if later := f.traffic(proxy.Query{Generation: "b1", Seen: 1, Within: time.Minute}); later.News != 2 {
		t.Errorf("got %+v", later)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.proxy.Traffic(ctx, proxy.Query{Environment: f.table.Environments[0].ID, Generation: "b1", Seen: 2, Within: time.Minute})
}

func TestFailedRequestsAreKeptFirstAndLast(t *testing.T) {
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
	}))})
	for i := range 100 {
		f.get("/" + strings.Repeat("x", i*10))
	}
	eventually(t, "all ended", func() bool { return f.generation("b1").InFlight == 0 })
	kept := f.traffic(proxy.Query{Generation: "b1"}).Failures
	if len(kept) != 40 || kept[0].Path != "/" || len(kept[1].Path) != 11 || kept[39].At.Before(kept[38].At) || kept[10].At.Before(kept[9].At) {
		t.Errorf("%d kept: %+v", len(kept), kept)
	}
	for _, k := range kept {
		if len(k.Path) > 250 {
			t.Errorf("a path of %d bytes is kept", len(k.Path))
		}
	}
}

func TestTheSecondsOfAGenerationAreKept(t *testing.T) {
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, says("b1")))})
	f.get("/")
	eventually(t, "the second is over", func() bool {
		s := f.traffic(proxy.Query{Generation: "b1", Seconds: 600}).Seconds["b1"]
		return len(s) == 599 && s[598].Requests+s[597].Requests == 1
	})
}

func TestA69NoClientHidesItsRequestsAsProbes(t *testing.T) {
	seen := make(chan string, 1)
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("X-Shiplock-Probe")
		w.WriteHeader(http.StatusInternalServerError)
	}))})
	f.get("/", "X-Shiplock-Probe", "1")
	if got := <-seen; got != "" {
		t.Errorf("the application was told %q", got)
	}
	eventually(t, "it is counted", func() bool {
		c := f.generation("b1").Counters
		return c.Requests == 1 && c.Errors == 1
	})
}

func TestA67ClientsThatLeaveAreNoErrors(t *testing.T) {
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))})
	f.apply(func(e *proxy.Environment) { e.SlowerThan = time.Hour })
	for range 50 {
		c, err := net.Dial("tcp", f.address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		eventually(t, "it is inside", func() bool { return f.generation("b1").InFlight > 0 })
		_ = c.Close()
		eventually(t, "it left", func() bool { return f.generation("b1").InFlight == 0 })
	}
	if c := f.generation("b1").Counters; c.Aborted != 50 || c.Errors != 0 || c.Requests != 0 || c.Slow != 0 || c.Timed != 0 {
		t.Errorf("got %+v", c)
	}
}
