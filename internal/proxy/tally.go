package proxy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A tally is the counters of a generation while they are counted.
type tally struct {
	requests, errors, refused, inARow atomic.Int64
	cut, aborted                      atomic.Int64
	replayed, lasting, assets         atomic.Int64
	noAnswer, late, broken            atomic.Int64
	timed, slow, slower               atomic.Int64
	counted                           atomic.Int64 // of errors: see analysis.Clients
	classes                           [6]atomic.Int64
	latency                           recorder
	seconds                           seconds
	failures                          failures
	news                              news
}

// answered counts an answer of the application. took is negative when the
// answer lasted, so that its length says nothing of the application's speed.
// An error counts when its client has not had too many.
func (t *tally) answered(status int, took time.Duration, counts bool) {
	t.requests.Add(1)
	class := status / 100
	if class < 1 || class > 5 {
		class = 0
	}
	t.classes[class].Add(1)
	var errors int64
	if class == 5 {
		errors = 1
		t.isError(counts)
	}
	t.seconds.add(1, errors, 0, max(took, 0))
	if took >= 0 {
		t.latency.add(took)
	}
}

// The causes of a request without a whole answer.
const (
	causeRefused = "no connection"
	causeNone    = "no answer"
	causeLate    = "no answer in time"
	causeBroken  = "answer broken off"
)

// failed counts a request without an answer, or with one that broke off.
func (t *tally) failed(cause string, counts bool) {
	t.requests.Add(1)
	t.classes[5].Add(1)
	switch cause {
	case causeLate:
		t.late.Add(1)
	case causeBroken:
		t.broken.Add(1)
	default:
		t.noAnswer.Add(1)
	}
	t.seconds.add(1, 1, 0, 0)
	t.isError(counts)
}

func (t *tally) isError(counts bool) {
	t.errors.Add(1)
	if counts {
		t.counted.Add(1)
	}
	t.news.tell()
}

// isSlow counts a request whose limit is over.
func (t *tally) isSlow() {
	t.slow.Add(1)
	t.seconds.add(0, 0, 1, 0)
	t.news.tell()
}

func (t *tally) read() Counters {
	c := Counters{
		Counted:  t.counted.Load(),
		Errors:   t.errors.Load(),
		NoAnswer: t.noAnswer.Load(),
		Late:     t.late.Load(),
		Broken:   t.broken.Load(),
		Refused:  t.refused.Load(),
		InARow:   t.inARow.Load(),
		Cut:      t.cut.Load(),
		Aborted:  t.aborted.Load(),
		Replayed: t.replayed.Load(),
		Assets:   t.assets.Load(),
		Slow:     t.slow.Load(),
		Slower:   t.slower.Load(),
		Latency:  t.latency.read(),
	}
	// What includes others is read after them.
	c.Requests, c.Timed = t.requests.Load(), t.timed.Load()
	for i := range t.classes {
		c.Classes[i] = t.classes[i].Load()
	}
	return c
}

// news tells those who wait that something bad was counted.
type news struct {
	count atomic.Int64
	mu    sync.Mutex
	next  chan struct{} // closed by the next; nil while nobody waits
}

func (n *news) tell() {
	n.count.Add(1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next != nil {
		close(n.next)
		n.next = nil
	}
}

// wait returns when more was told than seen, or when within is over or ctx
// ends.
func (n *news) wait(ctx context.Context, seen int64, within time.Duration) {
	n.mu.Lock()
	if n.next == nil {
		n.next = make(chan struct{})
	}
	next := n.next
	n.mu.Unlock()
	if n.count.Load() != seen {
		return
	}
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-next:
	case <-t.C:
	case <-ctx.Done():
	}
}
