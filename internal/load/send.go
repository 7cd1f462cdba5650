package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// newClient returns a client that uses no proxy, follows no redirect and keeps
// nothing of the answers: what is measured is one server.
func newClient(o Options) *http.Client {
	dialer := &net.Dialer{Timeout: o.Timeout}
	return &http.Client{
		CheckRedirect: noRedirect,
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			DisableKeepAlives:      !o.KeepAlive,
			DisableCompression:     true,
			MaxIdleConns:           o.Workers,
			MaxIdleConnsPerHost:    o.Workers,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// send sends one request and reads its whole answer. The end of the load does
// not cut it: only its own time does, and the end of ctx.
func (l *Load) send(ctx context.Context, n int64, due time.Time) Answer {
	kind := l.pick[n%int64(len(l.pick))]
	a := Answer{ID: l.id(n), Method: kind.Method, Path: kind.Path, At: due}
	ctx, cancel := context.WithTimeout(ctx, l.o.Timeout)
	defer cancel()
	var connections atomic.Int32
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connections.Add(1) },
	})
	a.Status, a.Class, a.Error = l.roundTrip(ctx, kind, l.bases[n%int64(len(l.bases))], a.ID)
	a.Latency = time.Since(due)
	a.Retried = connections.Load() > 1
	return a
}

func (l *Load) roundTrip(ctx context.Context, kind Request, base, id string) (status int, class, text string) {
	req, err := l.request(ctx, kind, base, id)
	if err != nil {
		return 0, "other", err.Error()
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return 0, classify(err), err.Error()
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		// A status alone is no answer: the user sees half a page.
		return resp.StatusCode, classify(fmt.Errorf("%w: %w", errCut, err)), err.Error()
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return resp.StatusCode, strconv.Itoa(resp.StatusCode), resp.Status
	}
	return resp.StatusCode, "", ""
}

func (l *Load) request(ctx context.Context, kind Request, base, id string) (*http.Request, error) {
	var body io.Reader
	text := strings.ReplaceAll(kind.Body, "$ID", id)
	if text != "" {
		body = strings.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, kind.Method, base+kind.Path, body)
	if err != nil {
		return nil, err
	}
	// Without it net/http has no means to send the body a second time.
	req.GetBody = nil
	req.Header.Set(IDHeader, id)
	req.Header.Set("User-Agent", "shiplock-load")
	if text != "" {
		req.Header.Set("Content-Type", kind.Type)
	}
	for name, text := range kind.Header {
		req.Header.Set(name, text)
	}
	if l.o.Host != "" {
		req.Host = l.o.Host
	}
	return req, nil
}

// classify names what went wrong in a word that can be counted.
func classify(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.Is(err, errCut):
		return "cut"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "name"
	}
	return "other"
}
