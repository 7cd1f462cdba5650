package proxy_test

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// withAssets answers for the paths it has.
func withAssets(seen *atomic.Int64, has ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		for _, path := range has {
			if r.URL.Path == path {
				_, _ = io.WriteString(w, path)
				return
			}
		}
		http.NotFound(w, r)
	}
}

func assetShop(t *testing.T) (f *fixture, old, fresh *atomic.Int64) {
	old, fresh = &atomic.Int64{}, &atomic.Int64{}
	b := backend("b1", app(t, withAssets(old, "/static/a.1.css", "/page")))
	b.Release = "1"
	f = start(t, map[ship.Slot]proxy.Backend{ship.Blue: b, ship.Green: backend("g1", app(t, withAssets(fresh, "/static/a.2.css")))})
	f.apply(func(e *proxy.Environment) {
		e.Active, e.Kept, e.Proxy.AssetPath = ship.Green, ship.Blue, "/static/"
	})
	if _, err := f.proxy.Drain(t.Context(), shop, "b1", grace(time.Second)); err != nil {
		t.Fatal(err)
	}
	return f, old, fresh
}

func TestAnAssetOfTheReleaseBeforeIsStillServed(t *testing.T) {
	f, old, _ := assetShop(t)
	got := f.get("/static/a.1.css")
	if got.status != 200 || got.body != "/static/a.1.css" || got.header.Get("X-Shiplock-Release") != "1" {
		t.Errorf("the old style sheet: %d %q %v", got.status, got.body, got.header)
	}
	if got := f.get("/static/a.2.css"); got.status != 200 || old.Load() != 1 {
		t.Errorf("the new style sheet: %d, the old release was asked %d times", got.status, old.Load())
	}
	if got := f.get("/static/a.3.css"); got.status != 404 || got.body != "404 page not found\n" {
		t.Errorf("a style sheet nobody has: %d %q", got.status, got.body)
	}
	fresh, before := f.generation("g1"), f.generation("b1")
	if c := fresh.Counters; c.Requests != 2 || c.Errors != 0 || c.Classes[4] != 1 || c.Latency.Count() != 2 {
		t.Errorf("the new release has %+v", c)
	}
	if c := before.Counters; c.Assets != 1 || c.Requests != 0 || c.Errors != 0 || !before.Drained {
		t.Errorf("the old release has %+v", before)
	}
}

func TestOnlyAMissingAssetIsAskedOfTheReleaseBefore(t *testing.T) {
	f, old, fresh := assetShop(t)
	for _, method := range []string{http.MethodPost, http.MethodHead, http.MethodDelete, http.MethodOptions} {
		req, _ := http.NewRequest(method, f.url("/static/a.1.css"), nil)
		if got := f.do(req); got.status != 404 {
			t.Errorf("%s was answered %d", method, got.status)
		}
	}
	if got := f.get("/page"); got.status != 404 {
		t.Errorf("a page of the old release: %d", got.status)
	}
	f.apply(func(e *proxy.Environment) { e.Kept = "" })
	if got := f.get("/static/a.1.css"); got.status != 404 {
		t.Errorf("when the old release is no longer kept: %d", got.status)
	}
	if old.Load() != 0 || fresh.Load() != 6 {
		t.Errorf("the old release was asked %d times, the new one %d times", old.Load(), fresh.Load())
	}
}

func TestAReleaseBeforeThatIsGoneChangesNothing(t *testing.T) {
	f, _, _ := assetShop(t)
	f.apply(func(e *proxy.Environment) {
		e.Slots = map[ship.Slot]proxy.Backend{ship.Green: e.Slots[ship.Green], ship.Blue: backend("b2", refusing(t))}
	})
	if got := f.get("/static/a.1.css"); got.status != 404 {
		t.Errorf("answered %d", got.status)
	}
	if c := f.generation("g1").Counters; c.Errors != 0 || c.Classes[4] != 1 {
		t.Errorf("counters %+v", c)
	}
}

func TestAReleaseIsNotStoppedWhileItSendsAnAsset(t *testing.T) {
	gate, entered := make(chan struct{}), make(chan struct{})
	f := start(t, map[ship.Slot]proxy.Backend{
		ship.Blue: backend("b1", app(t, func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			<-gate
			_, _ = io.WriteString(w, "old")
		})),
		ship.Green: backend("g1", app(t, http.NotFound)),
	})
	f.apply(func(e *proxy.Environment) { e.Active, e.Kept, e.Proxy.AssetPath = ship.Green, ship.Blue, "/static/" })
	if _, err := f.proxy.Drain(t.Context(), shop, "b1", grace(time.Second)); err != nil {
		t.Fatal(err)
	}
	got := make(chan answer, 1)
	go func() { got <- f.get("/static/x") }()
	<-entered
	f.apply(func(e *proxy.Environment) {
		e.Slots = map[ship.Slot]proxy.Backend{ship.Green: e.Slots[ship.Green]}
		e.Kept = ""
	})
	last := f.drained(grace(20 * time.Second))
	select {
	case r := <-last:
		t.Errorf("the drain ended with an asset on its way: %+v", r)
	case <-time.After(50 * time.Millisecond):
	}
	close(gate)
	<-last
	if a := <-got; a.status != 200 || a.body != "old" {
		t.Errorf("answered %d %q", a.status, a.body)
	}
}

func TestInASplitAnAssetIsFoundInEitherRelease(t *testing.T) {
	f, _, _ := assetShop(t)
	f.apply(func(e *proxy.Environment) {
		e.Active, e.Kept, e.Split = ship.Blue, "", &proxy.Split{To: ship.Green, Percent: 50}
	})
	for range 20 {
		for _, path := range []string{"/static/a.1.css", "/static/a.2.css"} {
			if got := f.get(path); got.status != 200 {
				t.Fatalf("%s: %d", path, got.status)
			}
		}
	}
}
