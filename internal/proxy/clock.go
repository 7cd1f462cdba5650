package proxy

import (
	"bufio"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A clock times one request at one generation. It runs only while the
// application is waited for: a client that sends or reads slowly must not make
// a release look slow. When a limit is over the request is counted as slow at
// once, so that one that hangs is seen although it never ends.
type clock struct {
	tally  *tally
	limits limits
	begun  time.Time
	waits  atomic.Int32 // pieces of the client's that are waited for now
	since  atomic.Int64 // when the first of those began, Unix nanoseconds
	waited atomic.Int64 // for pieces that came
	timer  *time.Timer  // nil when there is no limit

	mu      sync.Mutex
	stopped bool
	slow    bool // counted as slower than limits.slow
	slower  bool // and than limits.slower
	timed   bool // counted as timed
}

// limits are what a request is timed for; 0 is no limit.
type limits struct{ slow, slower time.Duration }

// next returns the limit that is over next after d, or 0.
func (l limits) next(d time.Duration) time.Duration {
	first, second := min(l.slow, l.slower), max(l.slow, l.slower)
	switch {
	case first > d:
		return first
	case second > d:
		return second
	}
	return 0
}

// startClock starts a clock.
func startClock(t *tally, l limits) *clock {
	c := &clock{tally: t, limits: l, begun: time.Now()}
	if d := l.next(0); d > 0 {
		c.timer = time.AfterFunc(d, c.expire)
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

// expire counts the request as slow when it is, and waits for the next limit.
func (c *clock) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	d := c.elapsed()
	c.look(d)
	if next := c.limits.next(d); next > 0 {
		time.AfterFunc(max(next-d, time.Millisecond), c.expire)
	}
}

// look counts the limits that are over and were not counted yet.
func (c *clock) look(d time.Duration) {
	if !c.slow && c.limits.slow > 0 && d >= c.limits.slow {
		c.slow = true
		c.isTimed()
		c.tally.isSlow()
	}
	if !c.slower && c.limits.slower > 0 && d >= c.limits.slower {
		c.slower = true
		c.isTimed()
		c.tally.slower.Add(1)
		c.tally.news.tell()
	}
}

func (c *clock) isTimed() {
	if !c.timed {
		c.timed = true
		c.tally.timed.Add(1)
	}
}

// stop ends the timing of a request whose length says nothing of the
// application. What was counted before stays.
func (c *clock) stop() { c.end(false) }

// settle ends the timing of a request that was answered.
func (c *clock) settle() { c.end(true) }

func (c *clock) end(answered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	c.stopped = true
	if c.timer != nil {
		c.timer.Stop()
	}
	if answered && c.limits != (limits{}) {
		c.isTimed()
		c.look(c.elapsed())
	}
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

// Hijack gives the client's connection away, as one that can be ended.
func (w timedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if s, ok := w.ex.stream.(*socket); ok && err == nil {
		c = s.take(c)
	}
	return c, rw, err
}

// Unwrap lets http.ResponseController find Flush.
func (w timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
