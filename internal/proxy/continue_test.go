package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestABodyIsAskedForWhenTheApplicationWantsIt(t *testing.T) {
	for name, tt := range map[string]struct {
		size   int
		wants  bool
		status int
	}{
		"small, wanted":     {1000, true, 200},
		"large, wanted":     {100 << 10, true, 200},
		"large, not wanted": {100 << 10, false, 403},
	} {
		f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, func(w http.ResponseWriter, r *http.Request) {
			if !tt.wants {
				w.WriteHeader(403)
				return
			}
			if n, err := io.Copy(io.Discard, r.Body); err != nil || int(n) != tt.size {
				w.WriteHeader(500)
			}
		}))})
		c := f.dial()
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", tt.size)
		r := bufio.NewReader(c)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if asked := res.StatusCode == http.StatusContinue; asked != tt.wants {
			t.Errorf("%s: the client was first answered %d", name, res.StatusCode)
		}
		if res.StatusCode == http.StatusContinue {
			fmt.Fprint(c, strings.Repeat("x", tt.size))
			if res, err = http.ReadResponse(r, nil); err != nil {
				t.Fatal(err)
			}
		}
		if res.StatusCode != tt.status {
			t.Errorf("%s: answered %d, want %d", name, res.StatusCode, tt.status)
		}
	}
}

func TestABodyThatIsTooLargeIsRefused(t *testing.T) {
	f, a := recorded(t)
	f.apply(func(e *proxy.Environment) { e.Proxy.MaxBody = 100 << 10 })
	for name, tt := range map[string]struct {
		size   int
		length bool
		status int
	}{
		"as large as may be":     {100 << 10, true, 200},
		"that, in chunks":        {100 << 10, false, 200},
		"larger":                 {100<<10 + 1, true, 413},
		"larger, in chunks":      {101 << 10, false, 413},
		"much larger, in chunks": {3 << 20, false, 413},
	} {
		framing, body := fmt.Sprintf("Content-Length: %d", tt.size), strings.Repeat("x", tt.size)
		if !tt.length {
			framing, body = "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", tt.size, body)
		}
		statuses, closed := f.raw(post + framing + "\r\n\r\n" + body) // the rest may not be taken any more
		if len(statuses) != 1 || statuses[0] != tt.status || tt.status == 413 && !closed {
			t.Errorf("%s: answered %v, closed %v", name, statuses, closed)
		}
	}
	if c := f.generation("b1").Counters; a.requests.Load() != 2 || c.Errors != 0 {
		t.Errorf("%d requests arrived, the release has %+v", a.requests.Load(), c)
	}
}
