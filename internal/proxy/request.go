package proxy

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"time"
)

// handler serves the requests of one listener.
func (p *Proxy) handler(listener string) http.Handler {
	return http.HandlerFunc(func(raw http.ResponseWriter, r *http.Request) {
		w := newPacedWriter(raw, r, p.pace)
		ex := &exchange{proxy: p, listener: listener, in: r, id: requestID(r)}
		if r.ContentLength != 0 {
			defer func() {
				ex.sent.finish()
				w.lastRead()
			}()
		}
		if no := ex.receive(w); no != nil {
			p.refuse(w, r, ex.id, *no)
			return
		}
		if no := p.admit(ex); no != nil {
			p.refuse(w, r, ex.id, *no)
			return
		}
		ex.forward(w)
	})
}

// receive looks at the request before anybody waits for it, and takes in a
// small body, so that a slow sender holds no instance.
func (ex *exchange) receive(w *pacedWriter) *refusal {
	if no := examine(ex.in); no != nil {
		return no
	}
	env := ex.proxy.current.Load().find(ex.listener, ex.in.Host)
	if env == nil {
		return nobody(ex.in.Host)
	}
	ex.peer = peerOf(ex.in)
	ex.client = clientBehind(ex.peer, ex.in, env.trusted)
	if wait := env.limiter.take(ex.client, time.Now()); wait > 0 {
		return &refusal{status: http.StatusTooManyRequests, text: "There were too many requests from this address.", retryAfter: wait}
	}
	if ex.in.ContentLength == 0 {
		return nil
	}
	if ex.in.ContentLength > env.maxBody() {
		return tooLarge(env.maxBody())
	}
	ex.sent = newPacedBody(w, ex.in, env.maxBody(), ex.proxy.pace)
	if n := ex.in.ContentLength; n < 0 || n > maxBuffered {
		return nil
	}
	return ex.bufferBody()
}

// defaultMaxBody is the size of the largest body of a request.
const defaultMaxBody = 1 << 30

// maxBuffered is the size of the largest body that is buffered. Larger ones
// and those of unknown length are streamed.
const maxBuffered = 64 << 10

// bufferBody reads a small body, so that the request can be sent again as
// long as nothing of it was written.
func (ex *exchange) bufferBody() *refusal {
	body := make([]byte, ex.in.ContentLength)
	if _, err := io.ReadFull(ex.sent, body); err != nil {
		if no := ex.sent.refusal(); no != nil {
			return no
		}
		return malformed("The request's body ended before its announced length.")
	}
	ex.body = body
	return nil
}

func tooLarge(limit int64) *refusal {
	return &refusal{status: http.StatusRequestEntityTooLarge, text: "The request's body is larger than " + bytesText(limit) + ", the most that is taken here.", hangUp: true}
}

// refusal says what was wrong with the body, or is nil when it just ended.
func (b *pacedBody) refusal() *refusal {
	if b == nil {
		return nil
	}
	switch err := b.failed(); {
	case errors.Is(err, errTooLarge):
		return tooLarge(b.limit)
	case isTimeout(err):
		return &refusal{status: http.StatusRequestTimeout, text: "The request's body came too slowly.", hangUp: true}
	}
	return nil
}

// maxBody is the size of the largest body an environment takes.
func (env *environment) maxBody() int64 { return cmp.Or(env.Proxy.MaxBody, defaultMaxBody) }

func nobody(host string) *refusal {
	return &refusal{status: http.StatusNotFound, text: "No application answers for the host " + quoted(host) + " here."}
}
