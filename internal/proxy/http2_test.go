package proxy_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// secure has the proxy speak TLS.
func (f *fixture) secure(t *testing.T) *x509.CertPool {
	t.Helper()
	cert, roots := certificate(t)
	f.table.Listeners = []proxy.Listener{{Name: "main", TLS: []proxy.Certificate{cert}}}
	f.apply(func(*proxy.Environment) {})
	return roots
}

func (f *fixture) dialTLS(roots *x509.CertPool, protocol string) *tls.Conn {
	f.t.Helper()
	c, err := tls.Dial("tcp", f.address, &tls.Config{RootCAs: roots, ServerName: "example.com", NextProtos: []string{protocol}})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func TestA1TheSentryStandsWithinTLSToo(t *testing.T) {
	f, a := recorded(t)
	roots := f.secure(t)
	for request, want := range map[string]int{
		post + "Content-Length: 0\r\n\r\n":                                        200,
		post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400,
		"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n b\r\n\r\n":                       400,
	} {
		c := f.dialTLS(roots, "http/1.1")
		fmt.Fprint(c, request)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || res.StatusCode != want {
			t.Errorf("%q: answered %v, %v", request, res, err)
		}
	}
	if n := a.requests.Load(); n != 1 || a.last.Load().Header.Get("X-Forwarded-Proto") != "https" {
		t.Errorf("%d requests arrived, the last with %v", n, a.last.Load().Header)
	}
}

func TestPlainHTTPToATLSListenerIsTold(t *testing.T) {
	f, _ := recorded(t)
	f.secure(t)
	if statuses, closed := f.raw("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); len(statuses) != 1 || statuses[0] != 400 || !closed {
		t.Errorf("answered %v, closed %v", statuses, closed)
	}
}

func TestA5AHandshakeThatDoesNotComeIsCut(t *testing.T) {
	f, _ := recorded(t, proxy.Impatient)
	f.secure(t)
	if _, err := f.dial().Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection ended with %v", err)
	}
}

// A framer is a client that speaks frames.
type framer struct {
	*http2.Framer
	block strings.Builder
	enc   *hpack.Encoder
}

func (f *fixture) frames(roots *x509.CertPool) *framer {
	f.t.Helper()
	c := f.dialTLS(roots, "h2")
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		f.t.Fatal(err)
	}
	fr := &framer{Framer: http2.NewFramer(c, c)}
	fr.enc = hpack.NewEncoder(&fr.block)
	if err := fr.WriteSettings(); err != nil {
		f.t.Fatal(err)
	}
	return fr
}

func (fr *framer) get(stream uint32, path string) error {
	fr.block.Reset()
	for _, field := range []string{":method GET", ":scheme https", ":authority example.com", ":path " + path} {
		name, value, _ := strings.Cut(field, " ")
		if err := fr.enc.WriteField(hpack.HeaderField{Name: name, Value: value}); err != nil {
			return err
		}
	}
	return fr.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte(fr.block.String()), EndStream: true, EndHeaders: true})
}

func TestA9StreamsThatAreResetAtOnceDoNotPileUp(t *testing.T) {
	var now, most atomic.Int64
	gate := make(chan struct{})
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			return
		}
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		select {
		case <-gate:
		case <-r.Context().Done():
		}
	}))})
	defer close(gate)
	roots := f.secure(t)
	fr := f.frames(roots)
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(io.Discard, readerOf(fr)) })
	for i := range uint32(20000) {
		if fr.get(2*i+1, "/hang") != nil || fr.WriteRSTStream(2*i+1, http2.ErrCodeCancel) != nil {
			break // the proxy has had enough
		}
	}
	if got := httpsGet(t, f, roots); got != 200 {
		t.Errorf("another client was answered %d", got)
	}
	eventually(t, "nothing is under way", func() bool { return f.generation("b1").InFlight == 0 && now.Load() == 0 })
	if n := most.Load(); n > 300 {
		t.Errorf("%d requests of one connection were at the application at once", n)
	}
	if c := f.generation("b1").Counters; c.Errors != 0 {
		t.Errorf("the release has %+v", c)
	}
}

func TestA9OneConnectionHasABoundedNumberOfStreams(t *testing.T) {
	var now atomic.Int64
	gate := make(chan struct{})
	f := start(t, map[ship.Slot]proxy.Backend{ship.Blue: backend("b1", app(t, func(_ http.ResponseWriter, r *http.Request) {
		now.Add(1)
		select {
		case <-gate:
		case <-r.Context().Done():
		}
	}))})
	defer close(gate)
	fr := f.frames(f.secure(t))
	refused := make(chan int, 1)
	go func() {
		n := 0
		for n < 250 {
			frame, err := fr.ReadFrame()
			if err != nil {
				break
			}
			if r, ok := frame.(*http2.RSTStreamFrame); ok && (r.ErrCode == http2.ErrCodeRefusedStream || r.ErrCode == http2.ErrCodeProtocol) {
				n++
			}
		}
		refused <- n
	}()
	for i := range uint32(500) {
		if err := fr.get(2*i+1, "/hang"); err != nil {
			t.Fatal(err)
		}
	}
	if n := <-refused; n != 250 {
		t.Errorf("%d streams were refused, want 250 of 500", n)
	}
	eventually(t, "the others arrived", func() bool { return now.Load() == 250 })
}

// readerOf reads the frames of fr until its connection ends.
func readerOf(fr *framer) io.Reader {
	return readFunc(func([]byte) (int, error) {
		_, err := fr.ReadFrame()
		return 0, err
	})
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func httpsGet(t *testing.T, f *fixture, roots *x509.CertPool) int {
	t.Helper()
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"}}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Get("https://" + f.address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}
