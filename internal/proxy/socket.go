package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// partFor is how long a client may take to close its side of a WebSocket that
// was ended. To close ours at once could destroy what it has not read yet.
const partFor = 3 * time.Second

// A socket is the application's side of a connection that was upgraded. One
// that speaks WebSocket can be ended between two messages: the application
// and the client each get a Close frame with the status 1001.
type socket struct {
	io.ReadWriteCloser
	websocket bool

	mu     sync.Mutex
	down   frames // from the application to the client
	tail   []byte // still to be sent to the client
	ending bool
	hard   bool // end now, whatever is on its way
	parted bool // the Close frame is ours; nothing of the application's follows
	user   *userConn
}

func newSocket(body io.ReadWriteCloser, protocol string) *socket {
	return &socket{ReadWriteCloser: body, websocket: strings.EqualFold(protocol, "websocket")}
}

// Read reads what is for the client.
func (s *socket) Read(p []byte) (int, error) {
	for {
		if n, ended := s.rest(p); n > 0 || ended {
			return n, eofIf(n == 0)
		}
		n, err := s.ReadWriteCloser.Read(p)
		kept := s.pass(p[:n])
		if kept > 0 || err != nil && !s.whole() {
			return kept, err
		}
	}
}

func eofIf(ended bool) error {
	if ended {
		return io.EOF
	}
	return nil
}

// rest returns what is left of the farewell, and whether nothing follows.
func (s *socket) rest(p []byte) (n int, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n = copy(p, s.tail)
	s.tail = s.tail[n:]
	return n, s.parted
}

// pass tells how much of p goes to the client. The rest makes way for the
// farewell.
func (s *socket) pass(p []byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.websocket {
		return len(p)
	}
	before := s.down.closed
	edge, closing := s.down.advance(p)
	if !s.ending || before {
		return len(p)
	}
	if closing >= 0 { // the application answers the farewell it got
		edge = closing
	}
	if edge < 0 {
		return len(p)
	}
	s.parted, s.tail = true, farewell(false)
	return edge
}

// Write writes what comes from the client. What comes after the farewell is
// nobody's any more; a failure then must not end the other direction early.
func (s *socket) Write(p []byte) (int, error) {
	if s.whole() {
		return len(p), nil
	}
	n, err := s.ReadWriteCloser.Write(p)
	if s.isEnding() {
		return len(p), nil
	}
	return n, err
}

// CloseWrite passes on that the client sends no more.
func (s *socket) CloseWrite() error {
	if w, ok := s.ReadWriteCloser.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.New("the connection cannot be closed in one direction")
}

func (s *socket) isEnding() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending
}

func (s *socket) whole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parted
}

// ask tells the application that the client goes away, which has it close the
// connection. The client hears it at the next boundary.
func (s *socket) ask() {
	if !s.websocket {
		return // nobody knows where its messages end
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	s.user.wake()
}

// cut ends the connection now. The client gets the Close frame if no message
// is on its way.
func (s *socket) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hard {
		return
	}
	s.ending, s.hard = true, true
	s.user.bound()
	_ = s.ReadWriteCloser.Close() // which wakes Read
}

// A userConn is the client's side of a connection that was upgraded.
type userConn struct {
	net.Conn
	s      *socket
	up     frames // from the client to the application
	leaves bool   // the application has yet to be told; only for Read

	// Guarded by s.mu.
	woken   bool
	lingers bool
}

// take makes c the client's side.
func (s *socket) take(c net.Conn) net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.user = &userConn{Conn: c, s: s}
	if s.ending {
		s.user.wake()
	}
	return s.user
}

// wake has Read return. The caller holds s.mu.
func (u *userConn) wake() {
	if u == nil || u.woken {
		return
	}
	u.woken = true
	_ = u.SetReadDeadline(time.Unix(1, 0))
}

// bound bounds what is still written to the client, and what is waited for.
// The caller holds s.mu.
func (u *userConn) bound() {
	if u == nil {
		return
	}
	u.woken = true
	_ = u.SetDeadline(time.Now().Add(cutFor / 2))
}

// Read reads what is for the application: what the client says and, when the
// connection is to end, the farewell in its name.
func (u *userConn) Read(p []byte) (int, error) {
	for {
		if u.leaves && u.up.between() && !u.up.closed {
			u.leaves = false
			return copy(p, farewell(true)), nil
		}
		n, err := u.Conn.Read(p)
		u.up.advance(p[:n])
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if !u.linger() { // the client had its time
			return 0, io.EOF
		}
	}
}

// linger gives a client that is to go the time to do so, once. It tells
// whether it did.
func (u *userConn) linger() bool {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	if u.lingers || u.s.hard {
		return false
	}
	u.lingers, u.leaves = true, u.s.websocket
	return u.SetReadDeadline(time.Now().Add(partFor)) == nil
}

// CloseWrite tells the client that nothing follows.
func (u *userConn) CloseWrite() error {
	if w, ok := u.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.New("the connection cannot be closed in one direction")
}
