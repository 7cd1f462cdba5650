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
	dropUntrusted(out.Header)
	pr.SetXForwarded()
	out.Header["X-Request-Id"] = []string{ex.id}
	hideIdempotencyKey(out.Header)
	ex.env.split.hide(out)
	ex.setBody(out)
}

// dropUntrusted removes what only a proxy may say. Names with an underscore
// go because CGI and WSGI cannot tell them from names with a hyphen.
func dropUntrusted(h http.Header) {
	for name := range h {
		switch {
		case strings.HasPrefix(name, "X-Forwarded-"), strings.IndexByte(name, '_') >= 0:
			delete(h, name)
		}
	}
	for _, name := range []string{"Forwarded", "X-Real-Ip", "X-Original-Url", "X-Rewrite-Url", "X-Request-Id", "X-Shiplock-Probe"} {
		delete(h, name)
	}
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
	id := strconv.FormatUint(rand.Uint64()|1<<63, 16) + strconv.FormatUint(rand.Uint64()|1<<63, 16)
	return id
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
