package proxy

import (
	"container/list"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// maxClients bounds what a limiter remembers. Whoever was not seen for longest
// is forgotten first, and begins anew with a whole burst: a limit on one
// client is no protection from ten thousand.
const maxClients = 10000

// A limiter bounds the requests of each client by a bucket of tokens, of which
// a request takes one.
type limiter struct {
	limit   ship.RateLimit
	refused atomic.Int64

	mu      sync.Mutex
	clients map[netip.Addr]*list.Element
	order   list.List // of *bucket, the last seen first
}

type bucket struct {
	client netip.Addr
	tokens float64
	at     time.Time
}

// newLimiter returns a limiter for limit, or old if it is one. Nil limits
// nothing.
func newLimiter(limit *ship.RateLimit, old *limiter) *limiter {
	if limit == nil || limit.Requests <= 0 || limit.Per <= 0 {
		return nil
	}
	l := *limit
	l.Burst = max(l.Burst, 1)
	if old != nil && old.limit == l {
		return old
	}
	return &limiter{limit: l, clients: map[netip.Addr]*list.Element{}}
}

// take takes a token of the client's. When there is none, it returns the time
// until there will be.
func (l *limiter) take(client netip.Addr, now time.Time) time.Duration {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucketOf(household(client), now)
	each := l.limit.Per.Seconds() / float64(l.limit.Requests)
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.tokens = min(b.tokens+passed/each, float64(l.limit.Burst))
		b.at = now
	}
	if b.tokens > 1-1e-9 { // parts of a token may have been rounded off
		b.tokens--
		return 0
	}
	l.refused.Add(1)
	return max(time.Duration((1-b.tokens)*each*float64(time.Second)), time.Nanosecond)
}

// sentAway returns how many requests got no token.
func (l *limiter) sentAway() int64 {
	if l == nil {
		return 0
	}
	return l.refused.Load()
}

// bucketOf returns the client's bucket; the caller holds l.mu.
func (l *limiter) bucketOf(client netip.Addr, now time.Time) *bucket {
	if e := l.clients[client]; e != nil {
		l.order.MoveToFront(e)
		return e.Value.(*bucket) // nothing else is in the list
	}
	if l.order.Len() >= maxClients {
		oldest := l.order.Back()
		delete(l.clients, oldest.Value.(*bucket).client) // nothing else is in the list
		l.order.Remove(oldest)
	}
	b := &bucket{client, float64(l.limit.Burst), now}
	l.clients[client] = l.order.PushFront(b)
	return b
}

// household returns what one client cannot change: an IPv6 client has as many
// addresses as it wants within its network.
func household(a netip.Addr) netip.Addr {
	if !a.Is6() || a.Is4In6() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
