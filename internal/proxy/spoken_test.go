package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// A spoken is an application that says byte for byte what a test wants.
type spoken struct {
	address string
	conns   atomic.Int64 // accepted
	arrived atomic.Int64 // requests whose header came
	// answer is asked for every request, which is the nth of its connection
	// (from 1). It may read the body. It returns whether the connection stays.
	answer atomic.Pointer[func(c net.Conn, r *http.Request, n int) bool]
}

func speaks(t testing.TB, answer func(c net.Conn, r *http.Request, n int) bool) *spoken {
	t.Helper()
	l := listen(t)
	s := &spoken{address: l.Addr().String()}
	s.answer.Store(&answer)
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			s.conns.Add(1)
			wg.Go(func() {
				s.serve(c)
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return s
}

func (s *spoken) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for n := 1; ; n++ {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		s.arrived.Add(1)
		if !(*s.answer.Load())(c, req, n) {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
	}
}

// always is a script that answers every request with text.
func always(text string) func(net.Conn, *http.Request, int) bool {
	return func(c net.Conn, r *http.Request, _ int) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		_, err := io.WriteString(c, text)
		return err == nil
	}
}

const good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
