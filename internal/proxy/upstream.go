package proxy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// maxTries bounds the instances of one generation that a request is tried at.
const maxTries = 2

var (
	errNoInstance = errors.New("no instance runs")
	errNotAsked   = errors.New("the application switched to a protocol that was not asked for")
)

// upstream is the round trip of a request that goes by http.Transport.
type upstream struct{}

// RoundTrip sends the request to an instance.
func (upstream) RoundTrip(out *http.Request) (*http.Response, error) {
	ex := exchangeOf(out.Context())
	res, err := ex.send(func(a *address) (*http.Response, error) {
		if out.GetBody != nil {
			out.Body, _ = out.GetBody() // of a buffer: cannot fail
		}
		out.URL.Host = a.hostport
		if ex.body == nil && out.Body != nil && out.Body != http.NoBody {
			return ex.to.fresh.RoundTrip(out)
		}
		return ex.to.transport.RoundTrip(out)
	})
	if err != nil {
		return nil, err
	}
	return ex.asset(out, res), nil
}

// send has once send the request to an instance. When no connection could be
// made, so that nothing was sent, it has it try another instance, the generation
// that was active before, or the same instance once more.
func (ex *exchange) send(once func(*address) (*http.Response, error)) (*http.Response, error) {
	for {
		res, err := ex.attempt(once)
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
	}
}

// isRefusal tells whether no connection was made, so that nothing was sent.
func isRefusal(err error) bool {
	_, ok := errors.AsType[*dialError](err)
	return ok
}

func (ex *exchange) attempt(once func(*address) (*http.Response, error)) (*http.Response, error) {
	a := ex.to.pick(ex.at)
	ex.unpick()
	if a == nil {
		return nil, &dialError{errNoInstance}
	}
	ex.tries++
	ex.at = a
	a.inside.Add(1)
	return once(a)
}

// instance returns the address of the instance that was tried last.
func (ex *exchange) instance() string {
	if ex.at == nil {
		return ""
	}
	return ex.at.hostport
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

func modifyResponse(res *http.Response) error { return exchangeOf(res.Request.Context()).answered(res) }

// answered notes how the application answered, and says in the answer what
// is ours to say.
func (ex *exchange) answered(res *http.Response) error {
	if res.StatusCode < 100 {
		return errNoStatus
	}
	upgraded := res.StatusCode == http.StatusSwitchingProtocols
	if upgraded && !strings.EqualFold(upgradeOf(ex.in), res.Header.Get("Upgrade")) {
		return errNotAsked
	}
	ex.status = res.StatusCode
	res.Header.Set("X-Request-Id", ex.id)
	if release := cmp.Or(ex.older, ex.to).release; release != "" {
		res.Header.Set("X-Shiplock-Release", release)
	}
	ex.env.split.keep(ex, res.Header)
	ex.sent.answer()
	if upgraded {
		ex.upgraded(res)
		return nil
	}
	if ex.proxy.front.retiring.Load() {
		res.Header.Set("Connection", "close")
	}
	if isEventStream(res) {
		ex.clock.stop() // its length is the client's to say
		body := &eventBody{ReadCloser: res.Body, ex: ex, plain: res.ContentLength < 0 && res.Header.Get("Content-Encoding") == ""}
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

func upstreamFailed(w http.ResponseWriter, out *http.Request, err error) {
	exchangeOf(out.Context()).fail(w, err)
}

// fail answers a request that the application did not.
func (ex *exchange) fail(w http.ResponseWriter, err error) {
	p := ex.proxy
	ex.failure = err
	if ex.clientGone() {
		ex.aborted = true
		no := refusal{status: statusClientGone}
		if told := ex.sent.refusal(); told != nil {
			no = *told
		}
		p.refuse(w, ex.in, ex.id, no)
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
			"address", ex.instance(), "request", ex.id, "error", err)
	}
	status, text := http.StatusBadGateway, "The application broke off the connection before it answered."
	switch {
	case isTimeout(err) || errors.Is(err, context.DeadlineExceeded):
		status, text = http.StatusGatewayTimeout, "The application did not answer in time."
	case errors.Is(err, errNotAsked), errors.Is(err, errNoStatus):
		text = "The application's answer is not one to this request."
	case isRefusal(err):
		text = "The application cannot be reached at the moment."
	}
	p.refuse(w, ex.in, ex.id, refusal{status: status, text: text})
}

func (ex *exchange) setBody(out *http.Request) {
	switch {
	case ex.body != nil:
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(ex.body)), nil }
		out.Body, _ = out.GetBody()
		out.Header.Del("Expect") // the body is here already
	case out.Body != nil:
		out.Body = timedBody{ex.sent, ex}
	}
}

// A timedBody has the clock stand still while the client sends.
type timedBody struct {
	*pacedBody
	ex *exchange
}

func (b timedBody) Read(p []byte) (int, error) {
	clock := b.ex.clock
	clock.clientBegins()
	defer clock.clientEnds()
	return b.pacedBody.Read(p)
}
