package proxy

import (
	"net/http"
	"strings"
)

// maxHeaders bounds the lines of a request's header. Each costs an application
// more than its bytes.
const maxHeaders = 200

// examine refuses what two programs could understand differently, and what no
// application behind a reverse proxy is asked. What the bytes of HTTP/1 say
// beyond that is looked at by the [sentry].
func examine(r *http.Request) *refusal {
	lines := 0
	for _, values := range r.Header {
		lines += len(values)
	}
	switch {
	case lines > maxHeaders:
		return &refusal{status: http.StatusRequestHeaderFieldsTooLarge, text: "This request has too many header lines.", hangUp: true}
	case r.Method == http.MethodConnect:
		return &refusal{status: http.StatusMethodNotAllowed, text: "This server is not a forward proxy.", hangUp: true}
	case r.Method == "PRI", r.ProtoMajor < 2 && r.RequestURI == "*" && r.Method != http.MethodOptions:
		return malformed("The request's target is not a path.")
	case r.URL.Scheme != "" && r.URL.Scheme != "http" && r.URL.Scheme != "https", r.URL.User != nil, r.URL.Opaque != "":
		return malformed("The request's target is not a path.")
	case !validHost(r.Host):
		return malformed("The request names no valid host.")
	}
	return nil
}

func malformed(text string) *refusal {
	return &refusal{status: http.StatusBadRequest, text: text, hangUp: true}
}

// validHost tells whether s is a name or an address, with or without a port.
func validHost(s string) bool {
	if s == "" || len(s) > 260 {
		return false
	}
	name, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		name, port = s[:i], s[i+1:]
	}
	for _, c := range []byte(port) {
		if c < '0' || c > '9' {
			return false
		}
	}
	address := strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]")
	if address {
		name = name[1 : len(name)-1]
	}
	for _, c := range []byte(name) {
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.'
		if !word && (address && c != ':' || !address && c != '-' && c != '_') {
			return false
		}
	}
	return name != ""
}
