package proxy_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/iotest"

	"github.com/shiplock/shiplock/internal/proxy"
)

// A tape is a connection that can only be read.
type tape struct {
	net.Conn
	io.Reader
}

func (t tape) Read(p []byte) (int, error) { return t.Reader.Read(p) }

// FuzzTheSentryFollowsTheServer reads the same bytes as Go's server does. After
// every request that the server took whole, the sentry must be between two
// requests too: else one of them would take for a request what is a body to
// the other.
func FuzzTheSentryFollowsTheServer(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n0\r\nX: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nA: 1\r\n Content-Length: 5\r\n\r\n",
		"GET / HTTP/1.1\nA: 1\n\n",
		"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
		"POST / HTTP/1.1\r\ncontent-length:\t007 \r\n\r\n1234567",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n000000000000000000001\r\na\r\n0\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		// A byte at a time, so that neither has read more than the other.
		sentry := proxy.NewSentry(tape{Reader: iotest.OneByteReader(bytes.NewReader(data))})
		r := bufio.NewReader(sentry)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				break
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				break
			}
			if !sentry.Between() && !sentry.Ended() {
				t.Fatalf("after %s %s the sentry is within a request", req.Method, req.RequestURI)
			}
		}
		// However the bytes are cut into reads, the same number gets through.
		whole := proxy.NewSentry(tape{Reader: bytes.NewReader(data)})
		all, _ := io.ReadAll(whole)
		pieces, _ := io.ReadAll(proxy.NewSentry(tape{Reader: iotest.HalfReader(bytes.NewReader(data))}))
		if !bytes.HasPrefix(data, all) || !bytes.HasPrefix(data, pieces) {
			t.Fatal("the sentry changed what it read")
		}
	})
}
