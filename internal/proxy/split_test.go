package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// splitShop is a shop whose releases say their names and the cookies they got.
func splitShop(t *testing.T) *fixture {
	named := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/public" {
				w.Header().Set("Cache-Control", "public, max-age=60")
			}
			_, _ = io.WriteString(w, name+" "+strings.Join(r.Header.Values("Cookie"), "|"))
		}
	}
	return start(t, map[ship.Slot]proxy.Backend{
		ship.Blue: backend("b1", app(t, named("old"))), ship.Green: backend("g1", app(t, named("new"))),
	})
}

func (f *fixture) split(percent float64, cookie string) {
	f.t.Helper()
	f.apply(func(e *proxy.Environment) {
		e.Split = &proxy.Split{To: ship.Green, Percent: percent, Cookie: cookie}
	})
}

func TestASplitSharesTheRequestsInPercent(t *testing.T) {
	f := splitShop(t)
	const n = 600
	f.split(30, "")
	for range n {
		if got := f.get("/"); got.header.Get("Set-Cookie") != "" {
			t.Fatalf("without stickiness a cookie is set: %v", got.header)
		}
	}
	// The chance of a binomial (600, 0.3) outside 120…240 is below 1e-7.
	old, fresh := f.generation("b1"), f.generation("g1")
	if fresh.Counters.Requests < 120 || fresh.Counters.Requests > 240 || old.Counters.Requests+fresh.Counters.Requests != n {
		t.Errorf("of %d requests at 30%%, %d went to the new release and %d to the old", n, fresh.Counters.Requests, old.Counters.Requests)
	}
	if old.Draining || fresh.Draining || f.status().Split == nil {
		t.Errorf("while split: %+v", f.status())
	}
	f.split(100, "")
	for range 20 {
		if got := f.get("/"); got.body != "new " {
			t.Fatalf("at 100%% %q answered", got.body)
		}
	}
	f.split(0, "")
	for range 20 {
		if got := f.get("/"); got.body != "old " {
			t.Fatalf("at 0%% %q answered", got.body)
		}
	}
	if _, err := f.proxy.Drain(t.Context(), shop, "g1", grace(time.Second)); err != nil {
		t.Errorf("the release that was withdrawn is not drained: %v", err)
	}
}

func TestAStickyClientStaysWithItsReleaseWhileThePercentageGrows(t *testing.T) {
	f := splitShop(t)
	f.split(40, "lane")
	clients := map[string]string{} // cookie to release
	for range 60 {
		got := f.get("/")
		set := got.header.Get("Set-Cookie")
		cookie, _, _ := strings.Cut(set, ";")
		if !strings.HasPrefix(cookie, "lane=") || !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "Max-Age=3600") || !strings.Contains(set, "SameSite=Lax") {
			t.Fatalf("cookie %q", set)
		}
		clients[cookie] = strings.Fields(got.body)[0]
	}
	for _, percent := range []float64{40, 60, 90} {
		f.split(percent, "lane")
		for cookie, before := range clients {
			got := f.get("/", "Cookie", "a=1; "+cookie+"; b=2")
			release := strings.Fields(got.body)[0]
			if before == "new" && release != "new" || percent == 40 && release != before {
				t.Errorf("at %v%% a client moved from %s to %s", percent, before, release)
			}
			if got.header.Get("Set-Cookie") != "" || got.body != release+" a=1; b=2" {
				t.Errorf("a client with a cookie was answered %v %q", got.header, got.body)
			}
			clients[cookie] = release
		}
	}
	if got := f.get("/public"); got.header.Get("Set-Cookie") != "" {
		t.Error("an answer for everybody's cache carries a client's cookie")
	}
	if got := f.get("/", "Cookie", "lane=made-up"); got.status != 200 || got.header.Get("Set-Cookie") == "" {
		t.Errorf("a made up cookie: %d %v", got.status, got.header)
	}
}

func TestASplitThatCannotBeRoutedIsRefused(t *testing.T) {
	f := splitShop(t)
	for _, s := range []proxy.Split{
		{To: ship.Blue, Percent: 5},
		{To: "", Percent: 5},
		{To: ship.Green, Percent: 101},
		{To: ship.Green, Percent: -1},
		{To: ship.Green, Percent: 5, Cookie: "a;b"},
	} {
		if err := f.try(func(e *proxy.Environment) { e.Split = &s }); ship.KindOf(err) != ship.Invalid {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if got := f.get("/"); got.body != "old " {
		t.Errorf("the table in force was changed: %q", got.body)
	}
}

func TestInASplitARefusedRequestGoesToTheOtherRelease(t *testing.T) {
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, says("old"))), ship.Green: backend("g1", refusing(t))})
	f.split(100, "")
	if got := f.get("/"); got.body != "old" {
		t.Fatalf("answered %d %q", got.status, got.body)
	}
	if c := f.generation("g1").Counters; c.Requests != 1 || c.Errors != 1 {
		t.Errorf("the release that refused has %+v, want the error to be its own", c)
	}
	if c := f.generation("b1").Counters; c.Errors != 0 || c.Requests != 1 {
		t.Errorf("the release that answered has %+v", c)
	}
}

func TestSplitsThatChangeUnderLoadLoseNothing(t *testing.T) {
	tills := map[ship.Slot]*till{}
	slots := map[ship.Slot]proxy.Backend{}
	for _, slot := range []ship.Slot{ship.Blue, ship.Green} {
		tills[slot] = &till{orders: map[string]int{}}
		slots[slot] = backend(string(slot), app(t, tills[slot].ServeHTTP))
	}
	f := start(t, slots)
	l := &load{url: f.url("/")}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { l.run(stop, 6) })
	active := ship.Blue
	for range 25 {
		for _, percent := range []float64{5, 50, 100} {
			before := l.sent.Load()
			tills[active.Other()].closed.Store(false)
			f.apply(func(e *proxy.Environment) {
				e.Split = &proxy.Split{To: active.Other(), Percent: percent, Cookie: "lane"}
			})
			eventually(t, "requests go on", func() bool { return l.sent.Load() > before+4 })
		}
		f.apply(func(e *proxy.Environment) { e.Split, e.Active = nil, active.Other() })
		if _, err := f.proxy.Drain(t.Context(), shop, string(active), grace(10*time.Second)); err != nil {
			t.Fatal(err)
		}
		tills[active].closed.Store(true)
		active = active.Other()
	}
	close(stop)
	wg.Wait()
	if n := l.failed.Load(); n != 0 {
		t.Errorf("%d of %d requests failed, the first: %s", n, l.sent.Load(), *l.first.Load())
	}
	for slot, till := range tills {
		if n := till.late.Load(); n != 0 {
			t.Errorf("%d requests reached %s after it was drained", n, slot)
		}
		for order, n := range till.orders {
			if n != 1 {
				t.Errorf("order %s arrived %d times", order, n)
			}
		}
	}
}
