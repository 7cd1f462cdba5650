package proxy

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddress returns the address of whoever sent r. The connection's peer
// is the client, unless it is one of the trusted proxies: then the last
// address in X-Forwarded-For that is not a trusted proxy's is. What cannot be
// read there was not written by a proxy, so that the one before it counts.
func clientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	return clientBehind(peerOf(r), r, trusted)
}

func clientBehind(peer netip.Addr, r *http.Request, trusted []netip.Prefix) netip.Addr {
	client := peer
	if !trusts(trusted, client) {
		return client
	}
	lines := r.Header["X-Forwarded-For"]
	for _, line := range slices.Backward(lines) {
		for line != "" {
			i := strings.LastIndexByte(line, ',')
			next, ok := parseHop(line[i+1:])
			if !ok {
				return client
			}
			if client = next; !trusts(trusted, client) {
				return client
			}
			line = line[:max(i, 0)]
		}
	}
	return client
}

// peerOf returns the other end of the connection that r came by.
func peerOf(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}

// parseHop reads an entry of X-Forwarded-For, which some proxies write with a
// port.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

func trusts(trusted []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}

// networks reads prefixes that were checked before.
func networks(list []string) []netip.Prefix {
	var all []netip.Prefix
	for _, n := range list {
		if p, err := netip.ParsePrefix(n); err == nil {
			all = append(all, p)
		}
	}
	return all
}
