//go:build unix

package proxy

import (
	"errors"
	"net"
	"syscall"
)

// quiet tells whether nothing has come on an idle connection, neither data nor
// its end.
type quiet struct {
	raw  syscall.RawConn
	look func(fd uintptr)
	yes  bool
}

func (q *quiet) watch(c net.Conn) {
	if t, ok := c.(*conn); ok {
		c = t.Conn
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	var one [1]byte
	q.raw = raw
	q.look = func(fd uintptr) {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		q.yes = errors.Is(err, syscall.EAGAIN)
	}
}

func (q *quiet) is() bool {
	if q.raw == nil {
		return false
	}
	err := q.raw.Control(q.look)
	return err == nil && q.yes
}
