package proxy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// maxTries bounds the instances of one generation that a request is tried at.
const maxTries = 2

var errNoInstance = errors.New("no instance runs")

// upstream is the round trip of an exchange to one of the instances.
type upstream struct{}

// RoundTrip sends the request to an instance. When no connection could be
// made, so that nothing was sent, it tries another instance, the generation
// that was active before, or the same instance once more.
func (upstream) RoundTrip(out *http.Request) (*http.Response, error) {
	ex := exchangeOf(out.Context())
	for {
		res, err := ex.attempt(out)
		if !isRefusal(err) {
			ex.connected = err == nil || !ex.clientGone()
			return res, err
		}
		if ex.clientGone() || ex.cut() {
			return nil, err
		}
		ex.to.tally.refused.Add(1)
		if ex.at != nil {
			ex.at.restUntil.Store(time.Now().Add(restFor).UnixNano())
		}
		if !ex.tryAgain() {
			return nil, err
		}
		ex.to.tally.replayed.Add(1)
		if out.GetBody != nil {
			out.Body, _ = out.GetBody() // of a buffer: cannot fail
		}
	}
}

// isRefusal tells whether no connection was made, so that nothing was sent.
func isRefusal(err error) bool {
	_, ok := errors.AsType[*dialError](err)
	return ok
}

func (ex *exchange) attempt(out *http.Request) (*http.Response, error) {
	a := ex.to.pick(ex.at)
	ex.unpick()
	if a == nil {
		return nil, &dialError{errNoInstance}
	}
	ex.tries++
	ex.at = a
	a.inside.Add(1)
	out.URL.Host = a.hostport
	return ex.to.transport.RoundTrip(out)
}

func (ex *exchange) unpick() {
	if ex.at != nil {
		ex.at.inside.Add(-1)
		ex.at = nil
	}
}

// tryAgain tells whether there is an instance left to try.
func (ex *exchange) tryAgain() bool {
	more := ex.tries < maxTries && len(ex.to.addrs) > 0
	if more && len(ex.to.addrs) > 1 {
		return true
	}
	return ex.fallBack() || more
}

// fallBack moves the exchange to the generation that was active before, while
// that one is still draining. The one that refused keeps the error.
func (ex *exchange) fallBack() bool {
	old := cmp.Or(ex.env.partner(ex.to), ex.env.previous)
	if ex.fellBack || ex.probe || old == nil || !old.requests.enterLate() {
		return false
	}
	ex.failed(&ex.to.tally, causeRefused)
	ex.to.tally.inARow.Add(1)
	ex.unpick()
	ex.to.roster.leave(ex)
	ex.door.leave()
	ex.to, ex.door, ex.fellBack, ex.tries = old, &old.requests, true, 0
	ex.to.roster.join(ex)
	ex.clock = startClock(&old.tally, ex.env.limits())
	return true
}

// modifyResponse notes how the application answered.
func modifyResponse(res *http.Response) error {
	ex := exchangeOf(res.Request.Context())
	ex.status = res.StatusCode
	res.Header.Set("X-Request-Id", ex.id)
	if ex.to.release != "" {
		res.Header.Set("X-Shiplock-Release", ex.to.release)
	}
	ex.env.split.keep(ex, res.Header)
	if res.StatusCode == http.StatusSwitchingProtocols {
		ex.upgraded(res)
		return nil
	}
	if ex.proxy.front.retiring.Load() {
		res.Header.Set("Connection", "close")
	}
	if isEventStream(res) {
		ex.clock.stop() // its length is the client's to say
		body := &eventBody{ReadCloser: res.Body, ex: ex, plain: res.Header.Get("Content-Encoding") == ""}
		res.Body = body
		ex.last(ship.SSE, body)
		return nil
	}
	res.Body = &watchedBody{res.Body, ex}
	return nil
}

// upgraded follows a connection that changes its protocol.
func (ex *exchange) upgraded(res *http.Response) {
	ex.clock.stop()
	body, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		return // httputil.ReverseProxy says so, and fails
	}
	s := newSocket(body, res.Header.Get("Upgrade"))
	res.Body = s
	speaks := ship.Upgrade
	if s.websocket {
		speaks = ship.WebSocket
	}
	ex.last(speaks, s)
}

func isEventStream(res *http.Response) bool {
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	return kind == "text/event-stream"
}

// A watchedBody notes when the application breaks off its answer, which a
// copy error alone cannot tell from a client that went away.
type watchedBody struct {
	io.ReadCloser
	ex *exchange
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !b.ex.clientGone() {
		b.ex.broken = err
	}
	return n, err
}

// upstreamFailed answers a request that the application did not.
func (p *Proxy) upstreamFailed(w http.ResponseWriter, out *http.Request, err error) {
	ex := exchangeOf(out.Context())
	ex.failure = err
	if ex.clientGone() {
		ex.aborted = true
		w.WriteHeader(statusClientGone)
		return
	}
	if ex.cut() {
		p.refuse(w, ex.in, ex.id, refusal{
			status: http.StatusGatewayTimeout,
			text:   "This request took longer than the change of release could wait for. Whether it took effect is not known.",
		})
		return
	}
	if ex.to.mayLog() {
		p.log.Warn("The application did not answer", "environment", ex.env.ID, "generation", ex.to.name,
			"address", out.URL.Host, "request", ex.id, "error", err)
	}
	status, text := http.StatusBadGateway, "The application broke off the connection before it answered."
	timeout := false
	if ne, ok := errors.AsType[net.Error](err); ok {
		timeout = ne.Timeout()
	}
	switch {
	case timeout || errors.Is(err, context.DeadlineExceeded):
		status, text = http.StatusGatewayTimeout, "The application did not answer in time."
	case isRefusal(err):
		text = "The application cannot be reached at the moment."
	}
	p.refuse(w, ex.in, ex.id, refusal{status: status, text: text})
}

// bufferBody reads a small body, so that the request can be sent again as
// long as nothing of it was written, and so that a slow sender holds no
// instance. Larger bodies and those of unknown length are streamed.
func (ex *exchange) bufferBody() error {
	n := ex.in.ContentLength
	if n <= 0 || n > maxBuffered {
		return nil
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(ex.in.Body, body); err != nil {
		return err
	}
	ex.body = body
	return nil
}

// maxBuffered is the size of the largest body that is buffered.
const maxBuffered = 64 << 10

// A streamedBody survives the transport's closing it after a failed dial: the
// real one is closed when the exchange ends. It notes when the client breaks
// off, which the transport reports like a fault of the application.
type streamedBody struct {
	io.Reader
	ex *exchange
}

func (b streamedBody) Read(p []byte) (int, error) {
	clock := b.ex.clock
	clock.clientBegins()
	defer clock.clientEnds()
	n, err := b.Reader.Read(p)
	if err != nil && err != io.EOF {
		b.ex.bodyBroken.Store(true)
	}
	return n, err
}

func (streamedBody) Close() error { return nil }

func (ex *exchange) setBody(out *http.Request) {
	switch {
	case ex.body != nil:
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(ex.body)), nil }
		out.Body, _ = out.GetBody()
		out.Header.Del("Expect") // the body is here already
	case out.Body != nil:
		out.Body = streamedBody{out.Body, ex}
	}
}
