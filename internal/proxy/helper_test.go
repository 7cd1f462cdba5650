package proxy_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

var shop = ship.EnvironmentID{App: "shop", Name: "production"}

// A fixture is a proxy on a loopback address with a table that tests change.
type fixture struct {
	t        testing.TB
	proxy    *proxy.Proxy
	address  string
	table    proxy.Table
	revision atomic.Int64
}

// start serves a proxy that has one listener and the environment shop.
func start(t testing.TB, slots map[ship.Slot]proxy.Backend, tune ...func(*proxy.Proxy)) *fixture {
	t.Helper()
	l := listen(t)
	f := &fixture{t: t, proxy: proxy.New(proxy.Config{}), address: l.Addr().String()}
	for _, change := range tune {
		change(f.proxy)
	}
	f.table = proxy.Table{
		Listeners:    []proxy.Listener{{Name: "main"}},
		Environments: []proxy.Environment{{ID: shop, Listen: []string{"main"}, Active: ship.Blue, Slots: slots}},
	}
	if _, ok := slots[ship.Blue]; !ok {
		f.table.Environments[0].Active = ""
	}
	f.apply(func(*proxy.Environment) {})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- f.proxy.Serve(ctx, map[string]net.Listener{"main": l}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("proxy: %v", err)
		}
	})
	return f
}

// apply changes the environment and puts the new table in force.
func (f *fixture) apply(change func(*proxy.Environment)) {
	f.t.Helper()
	if err := f.try(change); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) try(change func(*proxy.Environment)) error {
	next := f.table
	next.Environments = append([]proxy.Environment(nil), next.Environments...)
	change(&next.Environments[0])
	next.Revision = f.revision.Add(1)
	f.table = next
	return f.proxy.SetTable(next)
}

// grace is the same for every protocol.
func grace(d time.Duration) proxy.Grace { return proxy.Grace{Requests: d, Lasting: d} }

func (f *fixture) shift(to ship.Slot) {
	f.t.Helper()
	f.apply(func(e *proxy.Environment) { e.Active = to })
}

func (f *fixture) url(path string) string { return "http://" + f.address + path }

func (f *fixture) status() proxy.EnvironmentStatus {
	return f.proxy.Status().Environments[shop.String()]
}

func (f *fixture) generation(name string) proxy.GenerationStatus {
	return f.status().Generations[name]
}

// An answer is what a client got.
type answer struct {
	status int
	body   string
	header http.Header
}

// get asks over a connection of its own.
func (f *fixture) get(path string, header ...string) answer {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.url(path), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	return f.do(req)
}

func (f *fixture) do(req *http.Request) answer {
	f.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: noRedirect}
	res, err := client.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer{res.StatusCode, string(body), res.Header}
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// app starts an application and returns its address.
func app(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// says is an application that answers text.
func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// backend is a slot's backend of one generation.
func backend(generation string, addresses ...string) proxy.Backend {
	return proxy.Backend{Generation: generation, Addresses: addresses}
}

// refusing returns an address nobody listens on.
func refusing(t testing.TB) string {
	l := listen(t)
	address := l.Addr().String()
	l.Close()
	return address
}

// eventually waits until ok says so.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}
