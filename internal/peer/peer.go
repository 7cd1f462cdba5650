// Package peer tells who is at the other end of a unix socket, as the kernel
// knows it. It does not judge who may be there.
package peer

import (
	"fmt"
	"net"
)

// Cred is a process as it was when it connected.
type Cred struct {
	UID int
	PID int
}

// Of returns who made a connection. It fails for anything but a unix socket.
func Of(c net.Conn) (Cred, error) {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return Cred{}, fmt.Errorf("peer: %T is no unix socket", c)
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return Cred{}, fmt.Errorf("peer: %w", err)
	}
	var cred Cred
	var credErr error
	if err := raw.Control(func(fd uintptr) { cred, credErr = ask(int(fd)) }); err != nil {
		return Cred{}, fmt.Errorf("peer: %w", err)
	}
	return cred, credErr
}
