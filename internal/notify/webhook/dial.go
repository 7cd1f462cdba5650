package webhook

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"

	"github.com/shiplock/shiplock/internal/notify"
)

// sameHost lets a POST be redirected within its host only: headers and body
// were meant for that one. A redirect that turns it into a GET would lose the
// message and look like a success.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: more than %d redirects", notify.ErrPermanent, maxRedirects)
	case req.URL.Scheme != first.Scheme || req.URL.Host != first.Host:
		return fmt.Errorf("%w: redirected to another host", notify.ErrPermanent)
	case req.Method != http.MethodPost:
		return fmt.Errorf("%w: redirected to a GET, which would lose the message", notify.ErrPermanent)
	}
	return nil
}

// dialer refuses addresses that no receiver of messages has: a machine's
// metadata service among them. It sees the address that is really dialled, so
// no name and no redirect gets around it.
func dialer() *net.Dialer {
	return &net.Dialer{Timeout: timeout, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: address of the webhook: %w", notify.ErrPermanent, err)
		}
		// Loopback and private addresses are let through: a chat server
		// inside a company's network is the usual receiver.
		ip := to.Addr().Unmap()
		if ip.IsUnspecified() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip == netip.MustParseAddr(metadataIPv6) {
			return fmt.Errorf("%w: %s is no address of a webhook", notify.ErrPermanent, ip)
		}
		return nil
	}}
}

// metadataIPv6 is a cloud's metadata service that is in the private range, not
// among the link-local addresses.
const metadataIPv6 = "fd00:ec2::254"
