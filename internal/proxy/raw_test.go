package proxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// A recorder is an application that keeps what it was sent.
type recorder struct {
	requests atomic.Int64
	last     atomic.Pointer[http.Request]
}

func (a *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	a.last.Store(r)
	a.requests.Add(1)
	_, _ = io.WriteString(w, "ok")
}

// recorded starts a proxy before a recorder.
func recorded(t *testing.T, tune ...func(*proxy.Proxy)) (*fixture, *recorder) {
	t.Helper()
	a := &recorder{}
	return start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, a.ServeHTTP))}, tune...), a
}

// dial connects to the proxy.
func (f *fixture) dial() net.Conn {
	f.t.Helper()
	c, err := net.Dial("tcp", f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// raw sends text on a connection of its own and returns the status codes of
// every answer until the proxy closes the connection, and whether it did.
func (f *fixture) raw(text string) (statuses []int, closed bool) {
	f.t.Helper()
	c := f.dial()
	go func() { _, _ = io.WriteString(c, text) }() // ends with the connection
	_ = c.SetReadDeadline(time.Now().Add(700 * time.Millisecond))
	r := bufio.NewReader(c)
	for {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			ne, ok := errors.AsType[net.Error](err)
			return statuses, !ok || !ne.Timeout()
		}
		_, _ = io.Copy(io.Discard, res.Body)
		if res.StatusCode >= 200 {
			statuses = append(statuses, res.StatusCode)
		}
	}
}

// answering is an application that answers whatever comes with text and then
// closes the connection.
func answering(t testing.TB, text string) string {
	t.Helper()
	l := listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			req, err := http.ReadRequest(bufio.NewReader(c))
			if err == nil {
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(c, text)
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}
