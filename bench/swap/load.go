package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	answerWithin = 30 * time.Second
	smallOrder   = 300
	bigOrder     = 200 << 10 // more than the proxy keeps to send it again
)

// A load sends requests at a constant rate, however long the answers take, and
// times each from the moment it was due, without the time that the application
// was told to take.
type load struct {
	url     string
	every   time.Duration
	prefix  string // of the numbers of orders
	clients []*http.Client
	pad     string
	next    int // number of the next request

	mu       sync.Mutex
	took     []time.Duration
	answered map[string]bool // orders
	failures []string
	failed   int
	retried  atomic.Int64
}

func newLoad(address string, rate int, prefix string) *load {
	l := &load{url: "http://" + address, every: time.Second / time.Duration(rate), prefix: prefix, pad: padding(), answered: map[string]bool{}}
	for _, alone := range []bool{false, false, false, true} { // a quarter comes by new connections
		t := &http.Transport{DisableKeepAlives: alone, MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute, DisableCompression: true}
		l.clients = append(l.clients, &http.Client{Transport: t, Timeout: answerWithin})
	}
	return l
}

// run sends until ctx ends, and returns when the last answer has come.
func (l *load) run(ctx context.Context) {
	var wg sync.WaitGroup
	for due := time.Now(); ; due = due.Add(l.every) {
		if wait := time.Until(due); wait > 0 && !pause(ctx, wait) || ctx.Err() != nil {
			break
		}
		n := l.next
		l.next++
		wg.Go(func() { l.one(n, due) })
	}
	wg.Wait()
	for _, c := range l.clients {
		c.CloseIdleConnections()
	}
}

// one sends request number n and looks at the whole answer.
func (l *load) one(n int, due time.Time) {
	req, want, order, own := l.request(n)
	conns := 0
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { conns++ }}
	req = req.WithContext(httptrace.WithClientTrace(context.Background(), trace))
	err := answer(l.clients[n%len(l.clients)], req, want)
	took := time.Since(due)
	if conns > 1 { // our own client hid that a connection was closed under it
		l.retried.Add(1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if l.failed++; len(l.failures) < 10 {
			l.failures = append(l.failures, fmt.Sprintf("%s: %s %s: %v", time.Now().Format("15:04:05.000"), req.Method, req.URL.RequestURI(), err))
		}
		return
	}
	l.took = append(l.took, took-own)
	if order != "" {
		l.answered[order] = true
	}
}

// request makes request number n: two of three are GET, some of them slow or
// in pieces; the others are POST, some of them long or of unknown length. Own
// is the time that the application is told to take.
func (l *load) request(n int) (req *http.Request, want, order string, own time.Duration) {
	if n%3 != 2 {
		ms, pieces := 0, ""
		switch {
		case n%50 == 0:
			ms, pieces = 400, "&pieces=1"
		case n%7 == 0:
			ms = rand.IntN(60)
		case n%5 == 0:
			pieces = "&pieces=1"
		}
		req, _ = http.NewRequest(http.MethodGet, fmt.Sprintf("%s/page?ms=%d%s", l.url, ms, pieces), nil) //nolint:noctx // it gets the load's
		return req, l.pad, "", time.Duration(ms) * time.Millisecond
	}
	order = fmt.Sprintf("%s-%09d", l.prefix, n)
	size := smallOrder
	if n%90 == 2 {
		size = bigOrder
	}
	body := append([]byte(order), bytes.Repeat([]byte{'x'}, size-len(order))...)
	// A reader of unknown type cannot be read again: this client never sends
	// an order twice.
	req, _ = http.NewRequest(http.MethodPost, l.url+"/order", struct{ io.Reader }{bytes.NewReader(body)}) //nolint:noctx // it gets the load's
	if n%2 == 0 {
		req.ContentLength = int64(size)
	}
	req.Header["idempotency-key"] = []string{order} // in lower case our transport does not see it
	return req, "taken " + order, order, 0
}

func answer(c *http.Client, req *http.Request, want string) error {
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode != http.StatusOK:
		return errors.New(res.Status + ": " + strings.TrimSpace(string(body)))
	case string(body) != want:
		return fmt.Errorf("%d bytes of %d", len(body), len(want))
	}
	return nil
}
