// Package outside dials servers that a configuration names. It knows which
// addresses no such server has; what is asked there it refuses to know.
package outside

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// ErrAddress marks an address that is never dialled: another try would not
// change it.
var ErrAddress = errors.New("no address of a server")

// metadataIPv6 is a cloud's metadata service that is in the private range, not
// among the link-local addresses.
const metadataIPv6 = "fd00:ec2::254"

// Dialer refuses addresses that no server outside has: a machine's metadata
// service among them. It sees the address that is really dialled, so no name
// and no redirect gets around it.
func Dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{Timeout: timeout, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrAddress, err)
		}
		// Loopback and private addresses are let through: a server inside a
		// company's network is the usual one.
		ip := to.Addr().Unmap().WithZone("")
		if ip.IsUnspecified() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip == netip.MustParseAddr(metadataIPv6) {
			return fmt.Errorf("%w: %s", ErrAddress, ip)
		}
		return nil
	}}
}
