package proxy

import (
	"sync/atomic"
	"time"
)

// A tally is the counters of a generation while they are counted.
type tally struct {
	requests, errors, refused, inARow atomic.Int64
	cut, cutLasting, aborted          atomic.Int64
	replayed, slow, lasting           atomic.Int64
	classes                           [6]atomic.Int64
	latency                           recorder
}

// answered counts an answer of the application. took is negative when the
// answer lasted, so that its length says nothing of the application's speed.
func (t *tally) answered(status int, took, limit time.Duration) {
	t.requests.Add(1)
	class := status / 100
	if class < 1 || class > 5 {
		class = 0
	}
	t.classes[class].Add(1)
	if class == 5 {
		t.errors.Add(1)
	}
	if took < 0 {
		return
	}
	t.latency.add(took)
	if limit > 0 && took > limit {
		t.slow.Add(1)
	}
}

// failed counts a request without an answer, or with one that broke off.
func (t *tally) failed() {
	t.requests.Add(1)
	t.errors.Add(1)
	t.classes[5].Add(1)
}

func (t *tally) read() Counters {
	c := Counters{
		Requests: t.requests.Load(),
		Errors:   t.errors.Load(),
		Refused:  t.refused.Load(),
		InARow:   t.inARow.Load(),
		Cut:      t.cut.Load(),
		Aborted:  t.aborted.Load(),
		Replayed: t.replayed.Load(),
		Slow:     t.slow.Load(),
		Latency:  t.latency.read(),
	}
	for i := range t.classes {
		c.Classes[i] = t.classes[i].Load()
	}
	return c
}
