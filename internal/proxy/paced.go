package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// A pace is what a client must keep up with, so that one that hardly reads or
// writes cannot hold a connection, or an instance, for ever.
type pace struct {
	header time.Duration // a header comes within
	write  time.Duration // one piece of an answer leaves within
	pause  time.Duration // a body comes without longer pauses
	grace  time.Duration // a body may be slower than rate for so long
	rate   int64         // bytes of a body a second, until it is answered
}

func defaultPace() pace {
	return pace{header: 10 * time.Second, write: time.Minute, pause: 30 * time.Second, grace: 30 * time.Second, rate: 512}
}

// A pacedWriter gives every write a deadline of its own. There is none for a
// whole answer, because event streams have no end.
type pacedWriter struct {
	http.ResponseWriter
	control http.ResponseController
	within  time.Duration
	drain   time.Duration // for the rest of a body that is not wanted
	until   time.Time     // the deadline in force
	// streams are reset by a deadline that passes between two writes, too, so
	// that there it has to be lifted after each one. A connection of HTTP/1
	// keeps it, for what is still buffered when the handler returns.
	lift bool
}

func newPacedWriter(w http.ResponseWriter, r *http.Request, p pace) *pacedWriter {
	return &pacedWriter{ResponseWriter: w, control: *http.NewResponseController(w), within: p.write, drain: p.pause, lift: r.ProtoMajor >= 2}
}

// extend sets a deadline, unless the one in force leaves most of the time.
func (w *pacedWriter) extend() {
	now := time.Now()
	if !w.lift && w.until.Sub(now) > w.within-w.within/8 {
		return
	}
	w.until = now.Add(w.within)
	_ = w.control.SetWriteDeadline(w.until) // supported by both kinds of server
}

func (w *pacedWriter) lifted() {
	if w.lift {
		_ = w.control.SetWriteDeadline(time.Time{})
	}
}

func (w *pacedWriter) WriteHeader(status int) {
	w.extend()
	defer w.lifted()
	w.ResponseWriter.WriteHeader(status)
}

func (w *pacedWriter) Write(p []byte) (int, error) {
	w.extend()
	defer w.lifted()
	return w.ResponseWriter.Write(p)
}

// FlushError sends what is buffered. It may be all that is written for a long
// time.
func (w *pacedWriter) FlushError() error {
	w.extend()
	defer w.lifted()
	return w.control.Flush()
}

// lastRead bounds the time in which the server reads on to the end of a body,
// after we answered without reading it. The server's own deadline for the next
// request follows.
func (w *pacedWriter) lastRead() {
	if !w.lift {
		_ = w.control.SetReadDeadline(time.Now().Add(w.drain))
	}
}

// Unwrap lets http.ResponseController find the rest.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

var errTooLarge = errors.New("the body is too large")

// A pacedBody reads a client's body within its limits, and notes why it could
// not. Closing it is left to the server: the transport would do so after a
// failed dial, when the body is needed for another try.
type pacedBody struct {
	body    io.Reader
	control *http.ResponseController
	pace    pace
	limit   int64

	mu       sync.Mutex
	begun    time.Time // zero before anything was wanted of it
	got      int64
	err      error
	answered bool // from here on only pauses are bounded
	done     bool // the deadlines are the server's again
}

func newPacedBody(w *pacedWriter, r *http.Request, limit int64, p pace) *pacedBody {
	return &pacedBody{body: r.Body, control: &w.control, pace: p, limit: limit}
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if err := b.begin(); err != nil {
		return 0, err
	}
	n, err := b.body.Read(p)
	return b.ended(n, err)
}

func (b *pacedBody) begin() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.err != nil:
		return b.err
	case b.done:
		return http.ErrBodyReadAfterClose
	}
	now := time.Now()
	if b.begun.IsZero() {
		b.begun = now
	}
	until := now.Add(b.pace.pause)
	if !b.answered {
		due := b.begun.Add(b.pace.grace + time.Duration(b.got/b.pace.rate)*time.Second)
		if due.Before(until) {
			until = due
		}
	}
	_ = b.control.SetReadDeadline(until) // supported by both kinds of server
	return nil
}

func (b *pacedBody) ended(n int, err error) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.done && !isTimeout(err) {
		// What the server reads next, the end of the connection, is waited for
		// without a limit.
		_ = b.control.SetReadDeadline(time.Time{})
	}
	if b.got += int64(n); b.got > b.limit {
		n, err = 0, errTooLarge
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

// answer says that the answer has begun: both may now go on for long.
func (b *pacedBody) answer() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answered = true
}

// finish gives the deadlines back to the server.
func (b *pacedBody) finish() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
}

// failed returns why the body could not be read.
func (b *pacedBody) failed() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *pacedBody) Close() error { return nil }

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}
