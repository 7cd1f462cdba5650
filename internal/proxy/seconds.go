package proxy

import (
	"sync/atomic"
	"time"
)

// keptSeconds is how far back the picture of a generation's traffic goes.
const keptSeconds = 600

// A Second is what was counted within one second. It is for pictures: what is
// judged are the [Counters].
type Second struct {
	At       int64 `json:"at"` // Unix
	Requests int64 `json:"requests"`
	Errors   int64 `json:"errors"`
	Slow     int64 `json:"slow"`
	Micros   int64 `json:"micros"` // of all the requests together
}

// seconds are the last so many seconds, in a ring that many goroutines write.
// Two that meet when a second begins may lose a count.
type seconds [keptSeconds]struct{ at, requests, errors, slow, micros atomic.Int64 }

func (s *seconds) add(requests, errors, slow int64, took time.Duration) {
	now := time.Now().Unix()
	b := &s[now%keptSeconds]
	if at := b.at.Load(); at != now && b.at.CompareAndSwap(at, now) {
		b.requests.Store(0)
		b.errors.Store(0)
		b.slow.Store(0)
		b.micros.Store(0)
	}
	b.requests.Add(requests)
	b.errors.Add(errors)
	b.slow.Add(slow)
	b.micros.Add(took.Microseconds())
}

// read returns the last n whole seconds, oldest first, those without a request
// too.
func (s *seconds) read(n int) []Second {
	n = min(n, keptSeconds-1)
	now := time.Now().Unix()
	all := make([]Second, 0, n)
	for at := now - int64(n); at < now; at++ {
		b := &s[at%keptSeconds]
		one := Second{At: at}
		if b.at.Load() == at {
			one.Requests, one.Errors, one.Slow, one.Micros = b.requests.Load(), b.errors.Load(), b.slow.Load(), b.micros.Load()
		}
		all = append(all, one)
	}
	return all
}
