package proxy

import "net/netip"

// client returns the address of whoever sent the request, as far as it can be
// trusted.
func (ex *exchange) client() netip.Addr {
	from, err := netip.ParseAddrPort(ex.in.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return from.Addr()
}
