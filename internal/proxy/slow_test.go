package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestA5SlowClientsAreCut(t *testing.T) {
	f, a := recorded(t, proxy.Impatient)
	for name, tt := range map[string]struct{ head, drip string }{
		"a header that does not end":      {"GET / HTTP/1.1\r\nHost: shop.test\r\n", "X-A: 1\r\n"},
		"a small body that does not end":  {post + "Content-Length: 60000\r\n\r\n", "x"},
		"a large body that does not end":  {post + "Content-Length: 600000\r\n\r\n", "x"},
		"chunks that do not end":          {post + "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"},
		"a body that does not begin":      {post + "Content-Length: 5\r\n\r\n", ""},
		"a body that is not wanted":       {"POST / HTTP/1.1\r\nHost: shop..test/\r\nContent-Length: 5\r\n\r\n", ""},
		"a large body that doesn't begin": {post + "Content-Length: 600000\r\n\r\n", ""},
	} {
		c := f.dial()
		fmt.Fprint(c, tt.head)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 200 {
				if _, err := io.WriteString(c, tt.drip); err != nil {
					return
				}
				<-time.After(50 * time.Millisecond)
			}
		}()
		got, err := io.ReadAll(c)
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
			t.Errorf("%s: the connection was left open", name)
		}
		if len(got) > 0 && !strings.HasPrefix(string(got), "HTTP/1.1 40") { // 408 or 400
			t.Errorf("%s: answered %q", name, got)
		}
		c.Close()
		<-done
	}
	eventually(t, "nothing is under way", func() bool { return f.generation("b1").InFlight == 0 })
	if c := f.generation("b1").Counters; c.Errors != 0 || a.requests.Load() != 0 {
		t.Errorf("%d requests arrived, the release has %+v", a.requests.Load(), c)
	}
}

func TestA5AClientThatHardlyReadsIsCut(t *testing.T) {
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, func(w http.ResponseWriter, _ *http.Request) {
		for piece := make([]byte, 64<<10); ; {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}))}, proxy.Impatient)
	c := f.dial()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
	begun := time.Now()
	for one := make([]byte, 1); f.generation("b1").Counters.Aborted == 0; {
		if _, err := c.Read(one); err != nil {
			break
		}
		if time.Since(begun) > 15*time.Second {
			t.Fatal("a client that reads a byte at a time was served on and on")
		}
		<-time.After(10 * time.Millisecond)
	}
	eventually(t, "nothing is under way", func() bool { return f.generation("b1").InFlight == 0 })
	if got := f.generation("b1").Counters; got.Aborted != 1 || got.Errors != 0 {
		t.Errorf("the release has %+v", got)
	}
}

func TestASlowBodyThatKeepsUpArrives(t *testing.T) {
	f, a := recorded(t, proxy.Impatient)
	c := f.dial()
	fmt.Fprintf(c, post+"Content-Length: 200000\r\n\r\n")
	for range 10 {
		fmt.Fprint(c, strings.Repeat("x", 20000))
		<-time.After(60 * time.Millisecond)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != 200 || a.requests.Load() != 1 {
		t.Errorf("answered %v, %v", res, err)
	}
}
