package proxy

import (
	"net"
	"os"

	"github.com/shiplock/shiplock/internal/peer"
	"github.com/shiplock/shiplock/internal/ship"
)

// checkPeer refuses a process of another user, unless it is root's.
func checkPeer(c *net.UnixConn) error {
	cred, err := peer.Of(c)
	if err != nil {
		return err
	}
	if cred.UID != os.Geteuid() && cred.UID != 0 {
		return ship.Errorf(ship.Unreachable, "", "user %d may not control this worker", cred.UID)
	}
	return nil
}
