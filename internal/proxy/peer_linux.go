package proxy

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/shiplock/shiplock/internal/ship"
)

// checkPeer refuses a process of another user, unless it is root's.
func checkPeer(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("peer of the control socket: %w", err)
	}
	var cred *syscall.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return fmt.Errorf("peer of the control socket: %w", err)
	}
	if credErr != nil {
		return fmt.Errorf("peer of the control socket: %w", credErr)
	}
	if uid := int(cred.Uid); uid != os.Geteuid() && uid != 0 {
		return ship.Errorf(ship.Unreachable, "", "user %d may not control this worker", uid)
	}
	return nil
}
