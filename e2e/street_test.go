package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A street is an application with plain requests and with streams: the test
// binary itself, started by the node with the word streetRole.
const streetRole = "serve-street"

// serveStreet is the application. It takes every order once and says how often
// it was asked, and its streams tick until the client or the proxy ends them.
func serveStreet(port string) error {
	var mu sync.Mutex
	var broken atomic.Bool
	orders := map[string]int{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprint(w, os.Getpid())
	})
	mux.HandleFunc("POST /break", func(http.ResponseWriter, *http.Request) { broken.Store(true) })
	mux.HandleFunc("POST /exit", func(http.ResponseWriter, *http.Request) { os.Exit(7) })
	mux.HandleFunc("POST /order", func(w http.ResponseWriter, r *http.Request) {
		id, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		orders[string(id)]++
	})
	mux.HandleFunc("GET /orders", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		twice := 0
		for _, n := range orders {
			if n > 1 {
				twice++
			}
		}
		_, _ = fmt.Fprintf(w, "%d %d", len(orders), twice)
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 0; r.Context().Err() == nil; i++ {
			if _, err := fmt.Fprintf(w, "data: %d\n\n", i); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	mux.HandleFunc("GET /socket", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n")
		for i := 0; err == nil; i++ {
			_, err = fmt.Fprintf(conn, "\x82\x04%04d", i%10000) // one whole frame
			time.Sleep(20 * time.Millisecond)
		}
	})
	return http.ListenAndServe("127.0.0.1:"+port, mux)
}

const streetYAML = `
app: street
run: {processes: {web: {command: "%[1]s serve-street $PORT", instances: 1, grace: 2s}}}
health: {path: /healthz, healthy_after: 2, every: 50ms, give_up: 30s}
environments:
  production: {platform: process, listen: "127.0.0.1:%[2]d", drain: 5s, long_lived_drain: 20s, keep_old: 5m, watch: {for: %[3]s, error_rate: 1%%}}
`

func (w *world) street(watch string) *project {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	p := &project{w: w, dir: w.t.TempDir(), port: freePort(w.t), host: "127.0.0.1"}
	p.write("shiplock.yaml", fmt.Sprintf(streetYAML, self, p.port, watch), 0o644)
	p.write("VERSION", "1\n", 0o644)
	return p
}

// A crowd asks the street without pause, over connections it keeps.
type crowd struct {
	p                   *project
	stop                chan struct{}
	all                 sync.WaitGroup
	sent, failed, posts atomic.Int64
	first               atomic.Pointer[string]
}

func (p *project) crowd(people int) *crowd {
	c := &crowd{p: p, stop: make(chan struct{})}
	for i := range people {
		c.all.Go(func() { c.person(i) })
	}
	return c
}

func (c *crowd) person(number int) {
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	url := fmt.Sprintf("http://127.0.0.1:%d", c.p.port)
	for n := 0; ; n++ {
		select {
		case <-c.stop:
			return
		case <-time.After(time.Duration(3+number) * time.Millisecond):
		}
		var res *http.Response
		var err error
		if n%2 == 0 {
			res, err = client.Get(url + "/")
		} else {
			// No GetBody: who gives it up may not send it again.
			res, err = client.Post(url+"/order", "text/plain", io.NopCloser(bytes.NewReader(fmt.Appendf(nil, "%d-%d", number, n))))
		}
		c.sent.Add(1)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			err = errors.Join(err, res.Body.Close())
			if err == nil && res.StatusCode != http.StatusOK {
				err = errors.New(res.Status)
			}
		}
		if err != nil {
			c.failed.Add(1)
			text := err.Error()
			c.first.CompareAndSwap(nil, &text)
		} else if n%2 == 1 {
			c.posts.Add(1)
		}
	}
}

// end stops the crowd and fails the test when more than so many requests were
// lost.
func (c *crowd) end(lost int64) {
	t := c.p.w.t
	t.Helper()
	close(c.stop)
	c.all.Wait()
	if n := c.failed.Load(); n > lost {
		t.Errorf("%d of %d requests failed, %d may; the first: %s", n, c.sent.Load(), lost, *c.first.Load())
	}
	if c.posts.Load() == 0 {
		t.Error("nothing was sent")
	}
	t.Logf("%d requests, %d failed", c.sent.Load(), c.failed.Load())
}

// A stream counts what comes.
type stream struct {
	ticks atomic.Int64
	ended atomic.Bool
	how   atomic.Pointer[string]
	close func() error
	done  chan struct{}
}

// stream opens a stream; kind is events or socket.
func (p *project) stream(kind string) *stream {
	t := p.w.t
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{close: conn.Close, done: make(chan struct{})}
	upgrade := ""
	if kind == "socket" {
		upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
	}
	if _, err := fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", kind, upgrade); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		how := s.read(bufio.NewReader(conn), kind == "socket")
		s.how.Store(&how)
		s.ended.Store(true)
	}()
	t.Cleanup(func() { _ = conn.Close(); <-s.done })
	return s
}

// read counts until the stream ends and says how it did.
func (s *stream) read(r *bufio.Reader, socket bool) string {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err.Error()
		}
		if strings.TrimSpace(line) == "" {
			break
		}
	}
	for !socket {
		line, err := r.ReadString('\n')
		if err != nil {
			return err.Error()
		}
		if strings.HasPrefix(line, "data:") {
			s.ticks.Add(1)
		}
		if strings.TrimSpace(line) == "0" {
			return "end"
		}
	}
	for {
		var head [2]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err.Error()
		}
		if _, err := io.CopyN(io.Discard, r, int64(head[1])); err != nil {
			return err.Error()
		}
		if head[0] == 0x88 {
			return "close frame"
		}
		s.ticks.Add(1)
	}
}

// goesOn fails the test unless more ticks come.
func (s *stream) goesOn(t *testing.T, what string) {
	t.Helper()
	from := s.ticks.Load()
	for deadline := time.Now().Add(10 * time.Second); s.ticks.Load() < from+3; time.Sleep(5 * time.Millisecond) {
		if s.ended.Load() || time.Now().After(deadline) {
			how := "silence"
			if h := s.how.Load(); h != nil {
				how = *h
			}
			t.Fatalf("%s: the stream ended after %d ticks: %s", what, s.ticks.Load(), how)
		}
	}
}
