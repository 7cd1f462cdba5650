package proxy

import (
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
)

// rewrite turns the client's request into the one an instance gets. It runs
// after hop-by-hop headers were removed, so that a client cannot name in
// Connection a header that is set here.
func rewrite(pr *httputil.ProxyRequest) {
	ex := exchangeOf(pr.In.Context())
	out := pr.Out
	out.Host = pr.In.Host
	out.URL.Scheme = "http"
	out.URL.User, out.URL.Opaque = nil, ""
	// We decide nothing by the query, so it goes through as it came, also
	// where Go cannot parse it.
	out.URL.RawQuery = pr.In.URL.RawQuery
	if upgradeOf(pr.In) == "" {
		delete(out.Header, "Connection")
		delete(out.Header, "Upgrade")
	}
	ex.setForwarded(out.Header)
	hideIdempotencyKey(out.Header)
	ex.env.split.hide(out)
	ex.setBody(out)
}

// outgoing returns the request that goes over a link. It shares what nobody
// changes with the client's.
func (ex *exchange) outgoing() *http.Request {
	in := ex.in
	h := make(http.Header, len(in.Header)+5)
	named := in.Header["Connection"]
	for name, values := range in.Header {
		if !hopByHop(name) && !framing(name) && (len(named) == 0 || !hasToken(named, name)) {
			h[name] = values
		}
	}
	if hasToken(in.Header["Te"], "trailers") {
		h["Te"] = []string{"trailers"}
	}
	ex.setForwarded(h)
	out := &http.Request{
		Method: in.Method, URL: in.URL, RequestURI: in.RequestURI, Host: in.Host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(ex.body)),
	}
	ex.env.split.hide(out)
	return out
}

// framing tells whether a header says how the request is put into bytes, which
// is ours to say for our connection.
func framing(name string) bool {
	switch name {
	case "Content-Length", "Expect", "Host":
		return true
	}
	return false
}

// setForwarded has h say who asked for what, in the words of proxies. What the
// request said before counts only where a trusted proxy said it.
func (ex *exchange) setForwarded(h http.Header) {
	trusted := trusts(ex.env.trusted, ex.peer)
	dropUntrusted(h, trusted)
	chain, host, proto := ex.peer.String(), ex.in.Host, "http"
	if ex.in.TLS != nil {
		proto = "https"
	}
	if trusted {
		said := ex.in.Header
		if prior := said["X-Forwarded-For"]; len(prior) > 0 {
			chain = strings.Join(prior, ", ") + ", " + chain
		}
		if prior := said.Get("X-Forwarded-Host"); prior != "" {
			host = prior
		}
		if said.Get("X-Forwarded-Proto") == "https" {
			proto = "https"
		}
		if prior, ok := said["Forwarded"]; ok {
			h["Forwarded"] = prior
		}
	}
	values := []string{ex.id, chain, host, proto}
	h["X-Request-Id"] = values[0:1:1]
	h["X-Forwarded-For"] = values[1:2:2]
	h["X-Forwarded-Host"] = values[2:3:3]
	h["X-Forwarded-Proto"] = values[3:4:4]
}

// probeHeader marks the node's own requests to an instance.
const probeHeader = "X-Shiplock-Probe"

// dropUntrusted removes what only a proxy may say, unless one we trust said
// it. Names with an underscore go in any case, because CGI and WSGI cannot tell
// them from names with a hyphen.
func dropUntrusted(h http.Header, trusted bool) {
	for name := range h {
		if strings.IndexByte(name, '_') >= 0 || name == probeHeader || !trusted && onlyProxies(name) {
			delete(h, name)
		}
	}
}

// onlyProxies tells whether name is a header by which proxies speak.
func onlyProxies(name string) bool {
	switch name {
	case "Forwarded", "X-Real-Ip", "X-Original-Url", "X-Rewrite-Url":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-")
}

// hideIdempotencyKey has http.Transport not see the header, which the
// application gets all the same: names are compared without case there. By
// that header the transport would send a POST again that was written before,
// and whether the application knows the header we cannot know.
func hideIdempotencyKey(h http.Header) {
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if v, ok := h[name]; ok {
			delete(h, name)
			h[strings.ToLower(name)] = v
		}
	}
}

// requestID returns the client's own id when it is a harmless word, else a
// new one. It is for finding a request in logs, not for keeping secrets.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); harmless(id) {
		return id
	}
	b := make([]byte, 0, 32)
	b = strconv.AppendUint(b, rand.Uint64()|1<<63, 16) // with all of its digits
	b = strconv.AppendUint(b, rand.Uint64()|1<<63, 16)
	return string(b)
}

func harmless(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !word && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// upgradeOf returns the protocol a client asks to switch to, or "". Not
// passed on are HTTP/2, which a client would speak past us then, and an upgrade
// of a request with a body, of which nobody can say where it ends.
func upgradeOf(r *http.Request) string {
	if len(r.Header["Upgrade"]) != 1 || r.ContentLength != 0 || r.ProtoMajor != 1 || r.ProtoMinor < 1 || !hasToken(r.Header["Connection"], "upgrade") {
		return ""
	}
	protocol := r.Header["Upgrade"][0]
	if strings.ContainsAny(protocol, ", \t") || strings.HasPrefix(strings.ToLower(protocol), "h2") {
		return ""
	}
	return protocol
}

// hasToken tells whether a header that is a list has an item.
func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(item), token) {
				return true
			}
		}
	}
	return false
}
