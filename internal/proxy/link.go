package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxIdle bounds the idle links to one instance.
	maxIdle = 512
	// maxAnswerHeader bounds the header of an answer.
	maxAnswerHeader = 1 << 20
	// linkBuffer holds the header of a request that is kept for the next one.
	linkBuffer = 8 << 10
)

// A link is a connection to an instance over which whole requests are sent,
// one after the other, without a goroutine of its own.
type link struct {
	conn   net.Conn
	reader *bufio.Reader
	head   []byte // of the request, kept for the next one
	used   bool   // it has carried a request before
	since  time.Time
	broken bool  // nothing more can be written to it
	room   int64 // what may still be read of an answer's header
	body   linkBody
	quiet  quiet
}

func newLink(c net.Conn) *link {
	l := &link{conn: c, head: make([]byte, 0, 1<<10)}
	l.reader = bufio.NewReader(limitedLink{l})
	l.quiet.watch(c)
	return l
}

func (l *link) close() { _ = l.conn.Close() }

var errLongHeader = errors.New("the header of the answer is too long")

// A limitedLink is what a link's reader reads from.
type limitedLink struct{ l *link }

func (r limitedLink) Read(p []byte) (int, error) {
	if r.l.room <= 0 {
		return 0, errLongHeader
	}
	n, err := r.l.conn.Read(p)
	r.l.room -= int64(n)
	return n, err
}

// A linkBody is the body of an answer. It knows whether it was read to its
// end; else the link cannot be used again, and closing it closes the link.
type linkBody struct {
	io.ReadCloser
	l     *link
	ended atomic.Bool
}

func (b *linkBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.ended.Store(true)
	}
	return n, err
}

func (b *linkBody) Close() error {
	if !b.ended.Load() {
		b.l.close()
	}
	return nil
}

// links are the idle links to one instance, the last used first.
type links struct {
	mu    sync.Mutex
	idle  []*link
	timer *time.Timer // closes links that nobody used; nil when none is idle
}

// take returns an idle link, or nil. One that the instance closed meanwhile,
// or that it sent something nobody asked for, is none.
func (s *links) take(keep time.Duration) *link {
	for {
		l := s.pop()
		if l == nil || time.Since(l.since) < keep && l.quiet.is() {
			return l
		}
		l.close()
	}
}

func (s *links) pop() *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.idle)
	if n == 0 {
		return nil
	}
	l := s.idle[n-1]
	s.idle[n-1] = nil
	s.idle = s.idle[:n-1]
	return l
}

// put keeps l for the next request.
func (s *links) put(l *link, keep time.Duration) {
	l.since, l.used = time.Now(), true
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) >= maxIdle {
		l.close()
		return
	}
	s.idle = append(s.idle, l)
	if s.timer == nil {
		s.timer = time.AfterFunc(keep, func() { s.expire(keep) })
	}
}

// expire closes the links that were idle for too long.
func (s *links) expire(keep time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.idle) && time.Since(s.idle[n].since) >= keep {
		s.idle[n].close()
		n++
	}
	s.idle = append(s.idle[:0], s.idle[n:]...)
	clear(s.idle[len(s.idle):cap(s.idle)])
	if s.timer = nil; len(s.idle) > 0 {
		s.timer = time.AfterFunc(max(keep-time.Since(s.idle[0].since), time.Millisecond), func() { s.expire(keep) })
	}
}

// closeAll closes the idle links.
func (s *links) closeAll() {
	for l := s.pop(); l != nil; l = s.pop() {
		l.close()
	}
}

// link returns a link to the instance at a: an idle one or a new one.
func (g *generation) link(ctx context.Context, a *address, keep time.Duration) (*link, error) {
	if l := a.links.take(keep); l != nil {
		return l, nil
	}
	c, err := g.dial(ctx, "tcp", a.hostport)
	if err != nil {
		return nil, err
	}
	return newLink(c), nil
}

// again tells whether l can carry another request after res.
func (l *link) again(res *http.Response) bool {
	return !l.broken && l.body.ended.Load() && !res.Close && l.reader.Buffered() == 0
}
