package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// before starts a proxy before a scripted application.
func before(t testing.TB, s *spoken) *fixture {
	t.Helper()
	return start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", s.address)})
}

func TestAnswersOfEveryFramingArriveWholeAndKeepTheConnection(t *testing.T) {
	for name, tt := range map[string]struct {
		method, answer, want string
		status               int
		keeps                bool
	}{
		"a length":              {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood", "good", 200, true},
		"no body":               {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", 200, true},
		"chunks":                {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ngo\r\n2;x\r\nod\r\n0\r\n\r\n", "good", 200, true},
		"a head with a length":  {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "", 200, true},
		"a head with chunks":    {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", 200, true},
		"no content":            {"GET", "HTTP/1.1 204 No Content\r\n\r\n", "", 204, true},
		"not modified":          {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\nEtag: x\r\n\r\n", "", 304, true},
		"no reason":             {"GET", "HTTP/1.1 200 \r\nContent-Length: 4\r\n\r\ngood", "good", 200, true},
		"HTTP/1.0, kept":        {"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\ngood", "good", 200, true},
		"HTTP/1.0":              {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\ngood", "good", 200, false},
		"told to close":         {"GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\ngood", "good", 200, false},
		"more than was told":    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood and more", "good", 200, false},
		"a body after its head": {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood", "", 200, false},
		"a second answer":       {"GET", good + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "good", 200, false},
	} {
		s := speaks(t, always(tt.answer))
		f := before(t, s)
		for i := range 3 {
			req, _ := http.NewRequest(tt.method, f.url("/"), nil)
			if got := f.do(req); got.status != tt.status || got.body != tt.want {
				t.Errorf("%s, request %d: answered %d %q", name, i, got.status, got.body)
			}
		}
		if n := s.conns.Load(); tt.keeps != (n == 1) || !tt.keeps && n != 3 {
			t.Errorf("%s: 3 requests took %d connections", name, n)
		}
	}
}

func TestAnAnswerWithoutALengthEndsWithItsConnection(t *testing.T) {
	s := speaks(t, func(c net.Conn, _ *http.Request, _ int) bool {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nuntil the end")
		return false
	})
	f := before(t, s)
	for range 2 {
		if got := f.get("/"); got.body != "until the end" {
			t.Errorf("answered %d %q", got.status, got.body)
		}
	}
}

func TestAnswersThatAreNoneAre502(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":            "",
		"garbage":            "SSH-2.0-OpenSSH\r\n",
		"half a header":      "HTTP/1.1 200 OK\r\nContent-Len",
		"two lengths":        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\ngood",
		"a strange length":   "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\ngood",
		"a strange encoding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\ngood",
		"a strange status":   "HTTP/1.1 42 OK\r\nContent-Length: 4\r\n\r\ngood",
		"a low status":       "HTTP/1.1 042 OK\r\nContent-Length: 4\r\n\r\ngood",
		"a huge header":      "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2<<20) + "\r\n\r\n",
		"interim for ever":   strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100),
	} {
		f := before(t, speaks(t, func(c net.Conn, _ *http.Request, _ int) bool {
			_, _ = io.WriteString(c, text)
			return false
		}))
		if got := f.get("/"); got.status != 502 {
			t.Errorf("%s: answered %d", name, got.status)
		}
		if c := f.generation("b1").Counters; c.Errors != 1 {
			t.Errorf("%s: counted %+v", name, c)
		}
	}
}

func TestABodyThatBreaksOffIsSeenToBreakOff(t *testing.T) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n",
	} {
		f := before(t, speaks(t, func(c net.Conn, _ *http.Request, _ int) bool {
			_, _ = io.WriteString(c, text)
			return false
		}))
		if err := check(http.Get(f.url("/"))); err == nil || strings.HasPrefix(err.Error(), "50") {
			t.Errorf("%q: the client saw %v", text, err)
		}
		eventually(t, "the request is counted", func() bool { return f.generation("b1").Counters.Errors == 1 })
	}
}

func TestADeadConnectionIsReplacedWithoutLosingARequest(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		closed := make(chan struct{}, 1)
		s := speaks(t, func(c net.Conn, r *http.Request, n int) bool {
			always(good)(c, r, n)
			c.Close() // without saying so before
			closed <- struct{}{}
			return false
		})
		f := before(t, s)
		for i := range 20 {
			req, _ := http.NewRequest(method, f.url("/"), strings.NewReader("order"))
			if got := f.do(req); got.status != 200 {
				t.Fatalf("%s %d: answered %d %q", method, i, got.status, got.body)
			}
			<-closed
		}
		if s.arrived.Load() != 20 {
			t.Errorf("20 requests arrived %d times", s.arrived.Load())
		}
	}
}

func TestARequestThatAKeptConnectionSwallowsIsRepeatedOnlyWhenHarmless(t *testing.T) {
	for method, wantStatus := range map[string]int{http.MethodGet: 200, http.MethodHead: 200, http.MethodPost: 502, http.MethodPut: 502, http.MethodDelete: 502} {
		s := speaks(t, func(c net.Conn, r *http.Request, n int) bool {
			if n == 1 {
				return always(strings.TrimSuffix(good, "good")+map[bool]string{false: "good"}[r.Method == http.MethodHead])(c, r, n)
			}
			_, _ = io.Copy(io.Discard, r.Body)
			return false // takes the request and dies
		})
		f := before(t, s)
		f.get("/")
		req, _ := http.NewRequest(method, f.url("/"), nil)
		if got := f.do(req); got.status != wantStatus {
			t.Errorf("%s: answered %d, want %d", method, got.status, wantStatus)
		}
		if n, want := s.arrived.Load(), map[int]int64{200: 3, 502: 2}[wantStatus]; n != want {
			t.Errorf("%s: %d requests arrived, want %d", method, n, want)
		}
	}
}

func TestInterimAnswersArePassedOn(t *testing.T) {
	f := before(t, speaks(t, always("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x\r\nX: 1\r\n\r\n"+good)))
	var got []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		got = append(got, fmt.Sprint(code, h))
		return nil
	}}
	req, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, f.url("/"), nil)
	answer := f.do(req)
	if answer.body != "good" || answer.header.Get("Link") != "" || answer.header.Get("Content-Type") != "" || len(got) != 1 || got[0] != "103 map[Link:[</a.css>]]" {
		t.Errorf("got %q and then %d %v", got, answer.status, answer.header)
	}
}

func TestTrailersArePassedOn(t *testing.T) {
	for name, announced := range map[string]string{"announced": "Trailer: X-Sum\r\n", "not announced": ""} {
		f := before(t, speaks(t, always("HTTP/1.1 200 OK\r\n"+announced+"Transfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\nX-Sum: 4711\r\n\r\n")))
		res, err := http.Get(f.url("/"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(body) != "good" || res.Trailer.Get("X-Sum") != "4711" {
			t.Errorf("%s: %q, trailer %v, %v", name, body, res.Trailer, err)
		}
	}
}

func TestSmallBodiesArriveAsTheyWere(t *testing.T) {
	f := before(t, speaks(t, func(c net.Conn, r *http.Request, _ int) bool {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		return err == nil
	}))
	for _, size := range []int{0, 1, 1000, 16 << 10, 64 << 10} {
		body := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		req, _ := http.NewRequest(http.MethodPost, f.url("/"), bytes.NewReader(body))
		if got := f.do(req); got.body != string(body) {
			t.Errorf("of %d bytes %d came back", size, len(got.body))
		}
	}
}

func TestAnAnswerBeforeTheWholeBodyWasReadArrives(t *testing.T) {
	f := before(t, speaks(t, func(c net.Conn, _ *http.Request, _ int) bool {
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno!")
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		return false
	}))
	for range 5 {
		req, _ := http.NewRequest(http.MethodPost, f.url("/"), bytes.NewReader(make([]byte, 64<<10)))
		if got := f.do(req); got.status != 413 || got.body != "no!" {
			t.Errorf("answered %d %q", got.status, got.body)
		}
	}
}

func TestAnAnswerInSlowPiecesArrives(t *testing.T) {
	f := before(t, speaks(t, func(c net.Conn, _ *http.Request, _ int) bool {
		for _, piece := range []string{"HTTP/1.1 20", "0 OK\r\nContent-Length", ": 4\r\n\r", "\n", "go", "od"} {
			<-time.After(40 * time.Millisecond)
			if _, err := io.WriteString(c, piece); err != nil {
				return false
			}
		}
		return true
	}))
	for range 2 {
		if got := f.get("/"); got.body != "good" {
			t.Errorf("answered %d %q", got.status, got.body)
		}
	}
}

func TestPiecesOfUnknownLengthArePassedOnAtOnce(t *testing.T) {
	next := make(chan string)
	f := before(t, speaks(t, func(c net.Conn, _ *http.Request, _ int) bool {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for piece := range next {
			fmt.Fprintf(c, "%x\r\n%s\r\n", len(piece), piece)
		}
		_, err := io.WriteString(c, "0\r\n\r\n")
		return err == nil
	}))
	res, err := http.Get(f.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	r := bufio.NewReader(res.Body)
	for _, piece := range []string{"one\n", "two\n", "three\n"} {
		next <- piece
		if got, err := r.ReadString('\n'); got != piece || err != nil {
			t.Fatalf("got %q, %v, want %q", got, err, piece)
		}
	}
	close(next)
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
		t.Errorf("then %q, %v", rest, err)
	}
}

func TestAnApplicationThatDoesNotAnswerIsTimedOut(t *testing.T) {
	gate := make(chan struct{})
	f := before(t, speaks(t, func(net.Conn, *http.Request, int) bool { <-gate; return false }))
	defer close(gate)
	f.apply(func(e *proxy.Environment) { e.Proxy.ResponseTimeout = 100 * time.Millisecond })
	if got := f.get("/"); got.status != 504 {
		t.Errorf("answered %d", got.status)
	}
	if c := f.generation("b1").Counters; c.Errors != 1 {
		t.Errorf("counted %+v", c)
	}
}

func TestAClientThatLeavesEndsTheRequestToTheApplication(t *testing.T) {
	for name, text := range map[string]string{"before the answer": "", "within it": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"} {
		entered, left := make(chan struct{}, 1), make(chan struct{}, 1)
		f := before(t, speaks(t, func(c net.Conn, _ *http.Request, _ int) bool {
			_, _ = io.WriteString(c, text)
			entered <- struct{}{}
			_, _ = c.Read(make([]byte, 1))
			left <- struct{}{}
			return false
		}))
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, f.url("/"), nil)
		go func() { <-entered; cancel() }()
		if err := check(http.DefaultClient.Do(req)); err == nil {
			t.Errorf("%s: the request was answered", name)
		}
		select {
		case <-left:
		case <-time.After(10 * time.Second):
			t.Errorf("%s: the application was not told", name)
		}
		eventually(t, "the request ended", func() bool { return f.generation("b1").InFlight == 0 })
		if c := f.generation("b1").Counters; c.Aborted != 1 || c.Errors != 0 {
			t.Errorf("%s: counted %+v", name, c)
		}
		cancel()
	}
}

func TestIdleConnectionsAreClosedInTime(t *testing.T) {
	var open atomic.Int64
	closed := make(chan struct{}, 10)
	s := speaks(t, func(c net.Conn, r *http.Request, n int) bool {
		open.Add(1)
		always(good)(c, r, n)
		if _, err := c.Read(make([]byte, 1)); err != nil { // the next request, or the end
			closed <- struct{}{}
		}
		return false
	})
	f := before(t, s)
	f.apply(func(e *proxy.Environment) { e.Proxy.KeepAlive = 50 * time.Millisecond })
	f.get("/")
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("an idle connection stays open")
	}
}

// FuzzAnswers lets an application answer with anything. Whatever it is, the
// next client gets an answer to its own request and nothing that was left over.
func FuzzAnswers(f *testing.F) {
	for _, text := range []string{
		good, good + good, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\nA: b\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nx",
		"HTTP/1.1 103 X\r\n\r\n" + good, "HTTP/1.1 204 X\r\n\r\nevil", "HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n", "HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n" + good,
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n" + good, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", "",
	} {
		f.Add([]byte(text), true)
		f.Add([]byte(text), false)
	}
	var strange atomic.Pointer[[]byte]
	var stays atomic.Bool
	s := speaks(f, func(c net.Conn, r *http.Request, n int) bool {
		if text := strange.Swap(nil); text != nil {
			_, err := c.Write(*text)
			return err == nil && stays.Load()
		}
		return always(good)(c, r, n)
	})
	fx := before(f, s)
	fx.apply(func(e *proxy.Environment) { e.Proxy.ResponseTimeout = 50 * time.Millisecond })
	f.Fuzz(func(t *testing.T, text []byte, stay bool) {
		stays.Store(stay)
		strange.Store(&text)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 100 * time.Millisecond, CheckRedirect: noRedirect}
		req, _ := http.NewRequest(http.MethodPost, fx.url("/"), nil) // which is not sent again
		if res, err := client.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		strange.Store(nil)
		client.Timeout = 10 * time.Second
		res, err := client.Get(fx.url("/"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 200 || string(body) != "good" {
			t.Fatalf("the next request was answered %d %q, %v", res.StatusCode, body, err)
		}
	})
}
