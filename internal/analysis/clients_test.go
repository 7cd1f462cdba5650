package analysis_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/analysis"
)

func client(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }

func TestErrorsAreCappedOnlyForOneAmongMany(t *testing.T) {
	tests := []struct {
		name    string
		clients int
		loud    int // requests of the first one besides one of each
		counted int // of its ten errors
	}{
		{"twenty alike", 20, 0, 3},
		{"nineteen", 19, 0, 10},
		{"one makes more than a fifth", 40, 10, 10},
		{"one makes a fifth", 41, 9, 3},
		{"alone", 1, 50, 10},
	}
	for _, tt := range tests {
		c := analysis.NewClients()
		for i := range tt.clients {
			c.Observe(client(i), noon)
		}
		for range tt.loud {
			c.Observe(client(0), noon)
		}
		counted := 0
		for range 10 {
			if c.Count(client(0), noon) {
				counted++
			}
		}
		if counted != tt.counted {
			t.Errorf("%s: %d of 10 errors count, want %d; %+v", tt.name, counted, tt.counted, c.Crowd(noon))
		}
	}
}

func TestACrowdIsForgottenAfterTenSeconds(t *testing.T) {
	c := analysis.NewClients()
	for i := range 30 {
		c.Observe(client(i), noon)
	}
	for range 3 {
		c.Count(client(0), noon)
	}
	if c.Count(client(0), noon.Add(9*time.Second)) {
		t.Error("a fourth error within ten seconds counts")
	}
	if got := c.Crowd(noon.Add(9500 * time.Millisecond)); got.Clients != 30 || !got.Capping {
		t.Errorf("after 9.5 s: %+v", got)
	}
	later := noon.Add(10 * time.Second)
	if got := c.Crowd(later); got.Clients != 0 || got.Capping {
		t.Errorf("after 10 s: %+v", got)
	}
	for i := range 30 {
		c.Observe(client(i), later)
	}
	if !c.Count(client(0), later) {
		t.Error("an error does not count, though the others are more than ten seconds old")
	}
}

func TestAnIPv6NetworkIsOneClient(t *testing.T) {
	c := analysis.NewClients()
	for i := range 100 {
		a := netip.MustParseAddr("2001:db8::").As16()
		a[15] = byte(i)
		c.Observe(netip.AddrFrom16(a), noon)
	}
	c.Observe(netip.MustParseAddr("::ffff:10.0.0.1"), noon)
	c.Observe(netip.MustParseAddr("10.0.0.1"), noon)
	if got := c.Crowd(noon); got.Clients != 2 {
		t.Errorf("%+v, want 2 clients", got)
	}
}

func TestMoreClientsThanThereAreSlotsBlindNobody(t *testing.T) {
	c := analysis.NewClients()
	counted := 0
	for i := range 20_000 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		c.Observe(a, noon)
		if c.Count(a, noon) {
			counted++
		}
	}
	if counted < 4000 {
		t.Errorf("%d of 20 000 errors of as many clients count", counted)
	}
}
