package proxy_test

import (
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

const post = "POST / HTTP/1.1\r\nHost: shop.test\r\n"

func TestA1WhatServersUnderstandDifferentlyIsRefused(t *testing.T) {
	f, a := recorded(t)
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"
	for name, request := range map[string]string{
		"length and chunks":               post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunks and length":               post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"two lengths":                     post + "Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
		"the same length twice":           post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"a list of lengths":               post + "Content-Length: 5, 5\r\n\r\nhello",
		"a signed length":                 post + "Content-Length: +5\r\n\r\nhello",
		"a hexadecimal length":            post + "Content-Length: 0x5\r\n\r\nhello",
		"chunks twice":                    post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunks and something":            post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
		"a list of encodings":             post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"a strange encoding":              post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"chunks in HTTP/1.0":              "POST / HTTP/1.0\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a space before the colon":        post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"a vertical tab after it":         post + "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
		"a folded encoding":               post + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
		"a folded header":                 "GET / HTTP/1.1\r\nHost: shop.test\r\nX-A: 1\r\n b: 2\r\n\r\n",
		"a bare line feed in the header":  "GET / HTTP/1.1\r\nHost: shop.test\r\nX-A: 1\nX-B: 2\r\n\r\n",
		"a bare line feed at its end":     "GET / HTTP/1.1\r\nHost: shop.test\r\n\n",
		"a bare carriage return":          "GET / HTTP/1.1\r\nHost: shop.test\r\nX-A: 1\rX-B: 2\r\n\r\n",
		"a NUL":                           "GET / HTTP/1.1\r\nHost: shop.test\r\nX-A: 1\x002\r\n\r\n",
		"no name":                         "GET / HTTP/1.1\r\nHost: shop.test\r\n: 1\r\n\r\n",
		"a bare line feed after a size":   post + "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
		"a chunk longer than its size":    post + "Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
		"a negative chunk":                post + "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
		"a chunk with 0x":                 post + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
		"a folded trailer":                post + "Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: 1\r\n b\r\n\r\n",
		"a flood of extensions":           post + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+strings.Repeat("x", 3000)+"\r\na\r\n", 200) + "0\r\n\r\n",
		"a method that is none":           "G(T / HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"two spaces in the request line":  "GET /  HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"a version that is none":          "GET / HTTP/1.1x\r\nHost: shop.test\r\n\r\n",
		"the preface of HTTP/2":           "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"a second request with both, too": "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n" + post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		before := a.requests.Load()
		statuses, closed := f.raw(request + smuggled)
		bad := len(statuses) == 0 || !closed
		for _, s := range statuses {
			bad = bad || s < 400 && name != "a second request with both, too"
		}
		if last := a.last.Load(); bad || last != nil && last.URL.Path == "/smuggled" {
			t.Errorf("%s: answered %v, closed %v, %d requests arrived", name, statuses, closed, a.requests.Load()-before)
		}
	}
	if n := a.requests.Load(); n > 1 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestA1WhatIsRightPassesWhereverItIsCut(t *testing.T) {
	f, a := recorded(t)
	const requests = "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n" +
		post + "Content-Length: 5\r\n\r\nhello" +
		post + "Transfer-Encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n0\r\nX-A: 1\r\n\r\n" +
		"GET http://shop.test/x HTTP/1.1\r\nHost: shop.test\r\n\r\n" +
		"GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
	for _, size := range []int{1, 7, 64, len(requests)} {
		before := a.requests.Load()
		c := f.dial()
		for piece := range slices.Chunk([]byte(requests), size) {
			if _, err := c.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		all, err := io.ReadAll(c)
		if n := strings.Count(string(all), "HTTP/1.1 200 OK"); err != nil || n != 5 || a.requests.Load()-before != 5 {
			t.Errorf("in pieces of %d bytes %d of 5 requests were answered: %v\n%s", size, n, err, all)
		}
	}
}

func TestA2AHeaderNamedInConnectionStaysOurs(t *testing.T) {
	f, a := recorded(t)
	got := f.get("/", "Host", "shop.test", "Connection", "X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, X-Request-Id, X-Secret, Cookie, close",
		"X-Secret", "1", "Cookie", "a=b", "Keep-Alive", "1", "Proxy-Authorization", "x", "Te", "trailers, gzip", "Proxy-Connection", "x")
	h := a.last.Load().Header
	for name, want := range map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "shop.test", "X-Forwarded-Proto": "http", "Te": "trailers"} {
		if h.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, h.Get(name), want)
		}
	}
	if h.Get("X-Request-Id") == "" || h.Get("X-Request-Id") != got.header.Get("X-Request-Id") {
		t.Errorf("X-Request-Id is %q, the client was told %q", h.Get("X-Request-Id"), got.header.Get("X-Request-Id"))
	}
	for _, name := range []string{"X-Secret", "Cookie", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Connection"} {
		if v, ok := h[name]; ok {
			t.Errorf("%s: %q went through", name, v)
		}
	}
}

func TestA3NamesWithAnUnderscoreAreDropped(t *testing.T) {
	f, a := recorded(t)
	for _, trusted := range []bool{false, true} {
		if trusted {
			f.apply(func(e *proxy.Environment) { e.Proxy.TrustedProxies = []string{"127.0.0.0/8"} })
		}
		f.raw("GET / HTTP/1.1\r\nHost: shop.test\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded_For: 6.6.6.6\r\nREMOTE_USER: root\r\nContent_Length: 5\r\nConnection: close\r\n\r\n")
		for name := range a.last.Load().Header {
			if strings.Contains(name, "_") {
				t.Errorf("%s went through", name)
			}
		}
	}
}

func TestA4OnlyTrustedProxiesSpeakForTheClient(t *testing.T) {
	f, a := recorded(t)
	said := map[string]string{
		"X-Forwarded-For": "6.6.6.6, 10.1.1.1", "X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/admin",
		"X-Forwarded-Port": "1", "X-Forwarded-Server": "x", "Forwarded": "for=6.6.6.6", "X-Real-Ip": "6.6.6.6", "X-Original-Url": "/admin", "X-Rewrite-Url": "/admin",
	}
	header := []string{"Host", "shop.test"}
	for name, value := range said {
		header = append(header, name, value)
	}
	f.get("/", header...)
	ours := map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "shop.test", "X-Forwarded-Proto": "http"}
	for name := range said {
		if got := a.last.Load().Header.Get(name); got != ours[name] {
			t.Errorf("from a stranger, %s is %q, want %q", name, got, ours[name])
		}
	}
	f.apply(func(e *proxy.Environment) { e.Proxy.TrustedProxies = []string{"127.0.0.0/8"} })
	f.get("/", header...)
	theirs := maps.Clone(said)
	theirs["X-Forwarded-For"] += ", 127.0.0.1"
	for name, want := range theirs {
		if got := a.last.Load().Header.Get(name); got != want {
			t.Errorf("from a trusted proxy, %s is %q, want %q", name, got, want)
		}
	}
}

func TestA6LargeHeadersAreRefused(t *testing.T) {
	f, a := recorded(t)
	for name, header := range map[string]string{
		"100 KB in one":   "X-A: " + strings.Repeat("x", 100<<10) + "\r\n",
		"100 KB in many":  strings.Repeat("X-A: "+strings.Repeat("x", 1000)+"\r\n", 100),
		"10000 of a byte": strings.Repeat("a:b\r\n", 10000),
		"201 of them":     strings.Repeat("a:b\r\n", 201),
	} {
		if statuses, closed := f.raw("GET / HTTP/1.1\r\nHost: shop.test\r\n" + header + "\r\n"); !slices.Equal(statuses, []int{431}) || !closed {
			t.Errorf("%s: answered %v, closed %v", name, statuses, closed)
		}
	}
	if n := a.requests.Load(); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
	if got := f.get("/", "X-A", strings.Repeat("x", 50<<10)); got.status != 200 {
		t.Errorf("50 KB: answered %d", got.status)
	}
}

func TestA7StrangeTargetsAndHostsAreRefused(t *testing.T) {
	f, a := recorded(t)
	for name, head := range map[string]string{
		"no host":                    "GET / HTTP/1.1\r\n\r\n",
		"no host in HTTP/1.0":        "GET / HTTP/1.0\r\n\r\n",
		"an empty host":              "GET / HTTP/1.1\r\nHost:\r\n\r\n",
		"two hosts":                  "GET / HTTP/1.1\r\nHost: shop.test\r\nHost: evil.test\r\n\r\n",
		"a host with a path":         "GET / HTTP/1.1\r\nHost: shop.test/admin\r\n\r\n",
		"a host with a user":         "GET / HTTP/1.1\r\nHost: a@shop.test\r\n\r\n",
		"a host with a space":        "GET / HTTP/1.1\r\nHost: shop.test evil\r\n\r\n",
		"a host with a strange port": "GET / HTTP/1.1\r\nHost: shop.test:80x\r\n\r\n",
		"a foreign absolute target":  "GET http://evil.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"a target with a user":       "GET http://a@shop.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"a target of another scheme": "GET ftp://shop.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"a tunnel":                   "CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test:443\r\n\r\n",
		"a tunnel to a path":         "CONNECT /admin HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"no path":                    "GET admin HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"a star":                     "GET * HTTP/1.1\r\nHost: shop.test\r\n\r\n",
	} {
		if statuses, closed := f.raw(head); len(statuses) != 1 || statuses[0] != 400 && statuses[0] != 405 || !closed {
			t.Errorf("%s: answered %v, closed %v", name, statuses, closed)
		}
	}
	if n := a.requests.Load(); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
	for _, target := range []string{"//admin", "/%2e%2e/admin", "/a/../admin", "/%2fadmin", "/a;b=c", "/a?b=//c"} {
		f.raw("GET " + target + " HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
		if got := a.last.Load().RequestURI; got != target {
			t.Errorf("%s arrived as %s", target, got)
		}
	}
}

func TestA7AnUpgradeToHTTP2IsNotPassedOn(t *testing.T) {
	f, a := recorded(t)
	for _, protocol := range []string{"h2c", "H2C", "websocket, h2c"} {
		got := f.get("/", "Connection", "Upgrade, HTTP2-Settings", "Upgrade", protocol, "HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")
		h := a.last.Load().Header
		if got.status != 200 || h.Get("Upgrade") != "" || h.Get("Connection") != "" || h.Get("Http2-Settings") != "" {
			t.Errorf("%s: answered %d, the application saw %v", protocol, got.status, h)
		}
	}
}

func TestA8AnApplicationCannotSwitchProtocolsUnasked(t *testing.T) {
	address := answering(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nsecret")
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", address)})
	for name, request := range map[string]string{
		"not asked":           "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n",
		"another protocol":    "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: upgrade\r\nUpgrade: spdy\r\n\r\n",
		"asked with a body":   post + "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello",
		"asked with chunks":   post + "Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"asked in HTTP/1.0":   "GET / HTTP/1.0\r\nHost: shop.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		"not in Connection":   "GET / HTTP/1.1\r\nHost: shop.test\r\nUpgrade: websocket\r\n\r\n",
		"with two protocols":  "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: upgrade\r\nUpgrade: websocket, x\r\n\r\n",
		"with two of Upgrade": "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: upgrade\r\nUpgrade: x\r\nUpgrade: websocket\r\n\r\n",
	} {
		if statuses, _ := f.raw(request); !slices.Equal(statuses, []int{502}) {
			t.Errorf("%s: answered %v, want 502", name, statuses)
		}
	}
	if statuses, _ := f.raw("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"); len(statuses) != 0 {
		t.Errorf("asked: answered %v", statuses) // 101 is no final status
	}
}
