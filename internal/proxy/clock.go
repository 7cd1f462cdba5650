package proxy

import (
	"net/http"
	"sync/atomic"
	"time"
)

// A clock times one request at one generation. It runs only while the
// application is waited for: a client that sends or reads slowly must not make
// a release look slow. When the limit is over the request is counted as slow at
// once, so that one that hangs is seen although it never ends.
type clock struct {
	tally   *tally
	client  string
	limit   time.Duration
	begun   time.Time
	waits   atomic.Int32 // pieces of the client's that are waited for now
	since   atomic.Int64 // when the first of those began, Unix nanoseconds
	waited  atomic.Int64 // for pieces that came
	counted atomic.Bool  // as slow, or as not: once
	timer   *time.Timer  // nil when there is no limit
}

// startClock starts a clock. The request has no part in what is counted as
// slow when limit is 0.
func startClock(t *tally, client string, limit time.Duration) *clock {
	c := &clock{tally: t, client: client, limit: limit, begun: time.Now()}
	if limit > 0 {
		c.timer = time.AfterFunc(limit, c.expire)
	}
	return c
}

// elapsed returns how long the application has been waited for.
func (c *clock) elapsed() time.Duration {
	now := time.Now()
	d := now.Sub(c.begun) - time.Duration(c.waited.Load())
	if c.waits.Load() > 0 {
		d -= now.Sub(time.Unix(0, c.since.Load()))
	}
	return max(d, 0)
}

// expire counts the request as slow, or waits on as long as the client was
// waited for.
func (c *clock) expire() {
	if c.counted.Load() {
		return
	}
	if left := c.limit - c.elapsed(); left > 0 {
		time.AfterFunc(max(left, time.Millisecond), c.expire)
		return
	}
	if c.counted.CompareAndSwap(false, true) {
		c.tally.timed(c.client, true)
	}
}

// stop ends the timing without counting anything. It tells whether the request
// was counted as slow before.
func (c *clock) stop() (counted bool) {
	counted = !c.counted.CompareAndSwap(false, true)
	if c.timer != nil {
		c.timer.Stop()
	}
	return counted
}

// settle ends the timing of a request that ended, and counts whether it was
// slow: a failure is, however quick it was.
func (c *clock) settle(failed bool) {
	took := c.elapsed()
	if c.stop() || c.limit <= 0 {
		return
	}
	c.tally.timed(c.client, failed || took > c.limit)
}

func (c *clock) clientBegins() {
	if c.waits.Add(1) == 1 {
		c.since.Store(time.Now().UnixNano())
	}
}

func (c *clock) clientEnds() {
	if c.waits.Add(-1) == 0 {
		c.waited.Add(time.Now().UnixNano() - c.since.Load())
	}
}

// A timedWriter has the clock stand still while the client takes its answer.
type timedWriter struct {
	http.ResponseWriter
	ex *exchange
}

func (w timedWriter) Write(p []byte) (int, error) {
	c := w.ex.clock
	c.clientBegins()
	defer c.clientEnds()
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find Flush and Hijack.
func (w timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
