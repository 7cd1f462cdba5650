package proxy_test

import (
	"encoding/binary"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestTheClientIsWhoTheLastTrustedProxySaw(t *testing.T) {
	trusted := []string{"10.0.0.0/8", "::1/128"}
	for _, tt := range []struct {
		peer string
		said []string
		want string
	}{
		{"6.6.6.6:1", nil, "6.6.6.6"},
		{"6.6.6.6:1", []string{"7.7.7.7"}, "6.6.6.6"},
		{"10.0.0.1:1", nil, "10.0.0.1"},
		{"10.0.0.1:1", []string{"7.7.7.7"}, "7.7.7.7"},
		{"10.0.0.1:1", []string{"8.8.8.8, 7.7.7.7"}, "7.7.7.7"},
		{"10.0.0.1:1", []string{"8.8.8.8,7.7.7.7, 10.0.0.2"}, "7.7.7.7"},
		{"10.0.0.1:1", []string{"8.8.8.8", "7.7.7.7", "10.0.0.2"}, "7.7.7.7"},
		{"10.0.0.1:1", []string{"7.7.7.7", "junk, 10.0.0.2"}, "10.0.0.2"},
		{"10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"7.7.7.7:4711"}, "7.7.7.7"},
		{"10.0.0.1:1", []string{"[2001:db8::1]:80"}, "2001:db8::1"},
		{"10.0.0.1:1", []string{"::ffff:7.7.7.7"}, "7.7.7.7"},
		{"[::ffff:10.0.0.1]:1", []string{"7.7.7.7"}, "7.7.7.7"},
		{"[::1]:1", []string{"fe80::1%eth0"}, "fe80::1"},
	} {
		r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{}}
		if tt.said != nil {
			r.Header["X-Forwarded-For"] = tt.said
		}
		if got := proxy.ClientAddress(r, trusted...); got.String() != tt.want {
			t.Errorf("%s saying %q is %s, want %s", tt.peer, tt.said, got, tt.want)
		}
	}
}

func TestAClientHasABurstAndThenItsRate(t *testing.T) {
	l := proxy.NewLimiter(ship.RateLimit{Requests: 10, Per: time.Second, Burst: 3})
	a, b := netip.MustParseAddr("6.6.6.6"), netip.MustParseAddr("7.7.7.7")
	now := time.Unix(1000, 0)
	for i := range 3 {
		if wait := l.Take(a, now); wait != 0 {
			t.Fatalf("request %d of the burst waits %s", i, wait)
		}
	}
	if wait := l.Take(a, now); wait <= 90*time.Millisecond || wait > 100*time.Millisecond {
		t.Errorf("the next one waits %s, want 100 ms", wait)
	}
	if wait := l.Take(b, now); wait != 0 {
		t.Errorf("another client waits %s", wait)
	}
	allowed := 0
	for i := range 100 {
		if l.Take(a, now.Add(time.Duration(i+1)*10*time.Millisecond)) == 0 {
			allowed++
		}
	}
	if allowed != 10 {
		t.Errorf("%d requests were let in within a second, want 10", allowed)
	}
}

func TestAnIPv6ClientIsItsNetwork(t *testing.T) {
	l := proxy.NewLimiter(ship.RateLimit{Requests: 1, Per: time.Minute})
	now := time.Unix(1000, 0)
	if l.Take(netip.MustParseAddr("2001:db8::1"), now) != 0 || l.Take(netip.MustParseAddr("2001:db8::2"), now) == 0 {
		t.Error("two addresses of one network were two clients")
	}
	if l.Take(netip.MustParseAddr("2001:db8:0:1::1"), now) != 0 {
		t.Error("two networks were one client")
	}
}

func TestALimiterRemembersABoundedNumberOfClients(t *testing.T) {
	l := proxy.NewLimiter(ship.RateLimit{Requests: 1, Per: time.Minute})
	now := time.Unix(1000, 0)
	for i := range uint32(3 * proxy.MaxClients) {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], i)
		l.Take(netip.AddrFrom4(a), now)
	}
	if n := l.Clients(); n != proxy.MaxClients {
		t.Errorf("%d clients are remembered, want %d", n, proxy.MaxClients)
	}
}

func TestTooManyRequestsAreToldWhenToComeAgain(t *testing.T) {
	f, a := recorded(t)
	limit := &ship.RateLimit{Requests: 1, Per: 90 * time.Second, Burst: 2}
	f.apply(func(e *proxy.Environment) {
		e.Proxy.RateLimit, e.Proxy.TrustedProxies = limit, []string{"127.0.0.1/32"}
	})
	for i, want := range []int{200, 200, 429} {
		f.apply(func(*proxy.Environment) {}) // the next table knows the clients, too
		got := f.get("/", "X-Forwarded-For", "6.6.6.6")
		if got.status != want || want == 429 && got.header.Get("Retry-After") != "90" {
			t.Errorf("request %d: answered %d, %v", i, got.status, got.header)
		}
	}
	if got := f.get("/", "X-Forwarded-For", "7.7.7.7"); got.status != 200 {
		t.Errorf("another client behind the same proxy: answered %d", got.status)
	}
	if n := a.requests.Load(); n != 3 || f.status().Limited != 1 || f.generation("b1").Counters.Requests != 3 {
		t.Errorf("%d requests arrived, status %+v", n, f.status())
	}
}
