package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// patience is how long an answer is waited for before the client is
	// watched, too: most come sooner, and then nothing was spent on watching.
	patience = 25 * time.Millisecond
	// maxInterim bounds the 1xx answers to one request.
	maxInterim = 16
	// smallSend is what a fresh buffer of the kernel takes at once.
	smallSend = 16 << 10
)

// An unsentError says that nothing of the request was written.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return e.err.Error() }
func (e *unsentError) Unwrap() error { return e.err }

// errUnanswered is the end of a connection before the first byte of an answer.
var errUnanswered = errors.New("the connection ended without an answer")

// direct tells whether the whole request is here and asks for nothing but an
// answer of this release, so that it can go over a [link].
func (ex *exchange) direct() bool {
	return (ex.in.ContentLength == 0 || ex.body != nil) && upgradeOf(ex.in) == "" && !ex.env.isAsset(ex.in)
}

// roundTrip sends out over a link to the instance at a. It is sent again only
// when a link that was idle turns out to be dead, and nothing was written, or
// what was written changes nothing by its method.
func (ex *exchange) roundTrip(out *http.Request, a *address, interim func(*http.Response)) (*http.Response, error) {
	for {
		l, err := ex.to.link(ex.in.Context(), a, keepAlive(ex.env.Proxy))
		if err != nil {
			return nil, err
		}
		ex.link.Store(l)
		if ex.gone.Load() {
			l.close()
		}
		res, err := ex.over(l, out, interim)
		if err == nil {
			return res, nil
		}
		l.close()
		if !l.used || ex.clientGone() || ex.cut() || !repeatable(out, err) {
			return nil, err
		}
	}
}

// repeatable tells whether out may be sent again after err.
func repeatable(out *http.Request, err error) bool {
	if _, ok := errors.AsType[*unsentError](err); ok {
		return true
	}
	if !errors.Is(err, errUnanswered) || out.ContentLength != 0 {
		return false
	}
	switch out.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// over sends out over l and reads the header of the answer.
func (ex *exchange) over(l *link, out *http.Request, interim func(*http.Response)) (*http.Response, error) {
	limit := responseTimeout(ex.env.Proxy)
	begun := time.Now()
	if err := l.send(out, ex.body, begun.Add(limit)); err != nil {
		return nil, err
	}
	_ = l.conn.SetReadDeadline(begun.Add(min(patience, limit)))
	l.room = maxAnswerHeader
	_, err := l.reader.Peek(1)
	if errors.Is(err, os.ErrDeadlineExceeded) && limit > patience {
		ex.watch()
		_ = l.conn.SetReadDeadline(begun.Add(limit))
		_, err = l.reader.Peek(1)
	}
	if err != nil {
		return nil, unanswered(err)
	}
	res, err := ex.answer(l, out, begun.Add(limit), interim)
	if err != nil {
		return nil, err
	}
	l.room = 1 << 62
	if !l.body.ended.Load() && (res.ContentLength < 0 || res.ContentLength > int64(l.reader.Buffered())) {
		_ = l.conn.SetReadDeadline(time.Time{}) // a body may take as long as it likes
		ex.watch()
	}
	return res, nil
}

// unanswered tells a dead connection from one that is only slow.
func unanswered(err error) error {
	if isTimeout(err) || errors.Is(err, errLongHeader) {
		return err
	}
	return fmt.Errorf("%w: %w", errUnanswered, err)
}

// answer reads the header of the answer to out, and passes on what comes
// before it.
func (ex *exchange) answer(l *link, out *http.Request, until time.Time, interim func(*http.Response)) (*http.Response, error) {
	for range maxInterim {
		if come, _ := l.reader.Peek(l.reader.Buffered()); !bytes.Contains(come, []byte("\r\n\r\n")) {
			_ = l.conn.SetReadDeadline(until)
			ex.watch()
		}
		res, err := http.ReadResponse(l.reader, out)
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF) && l.room <= 0:
			return nil, errLongHeader
		case err != nil:
			return nil, err
		case res.StatusCode == http.StatusSwitchingProtocols:
			return nil, errNotAsked
		case res.StatusCode < 100:
			return nil, errNoStatus
		case res.StatusCode >= 200:
			l.body.ReadCloser, l.body.l = res.Body, l
			l.body.ended.Store(res.Body == http.NoBody)
			res.Body = &l.body
			return res, nil
		case res.StatusCode != http.StatusContinue: // we asked for none
			interim(res)
		}
	}
	return nil, errors.New("the application sent too many interim answers")
}

var errNoStatus = errors.New("the application answered with a status below 100")

// send writes out and its body.
func (l *link) send(out *http.Request, body []byte, until time.Time) error {
	l.head = appendHead(l.head[:0], out, len(body))
	all := append(l.head, body...)
	if cap(l.head) > linkBuffer {
		l.head = nil
	}
	if len(all) > smallSend {
		_ = l.conn.SetWriteDeadline(until)
		defer func() { _ = l.conn.SetWriteDeadline(time.Time{}) }()
	}
	n, err := l.conn.Write(all)
	switch {
	case err == nil:
		return nil
	case n == 0:
		return &unsentError{err}
	}
	if isTimeout(err) {
		return err
	}
	l.broken = true // it may have answered before it had read everything
	return nil
}

// appendHead writes the header of out, as RFC 9112 has it.
func appendHead(b []byte, out *http.Request, body int) []byte {
	b = append(b, out.Method...)
	b = append(b, ' ')
	b = append(b, requestTarget(out)...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = appendValue(b, out.Host)
	for name, values := range out.Header {
		for _, v := range values {
			b = append(b, name...)
			b = append(b, ": "...)
			b = appendValue(b, v)
		}
	}
	if body > 0 || lengthIsExpected(out.Method) {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(body), 10)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// appendValue ends the line. The server checked what came from the client; a
// line break here would be a request of its own.
func appendValue(b []byte, v string) []byte {
	if strings.ContainsAny(v, "\r\n\x00") {
		v = strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ").Replace(v)
	}
	b = append(b, textproto.TrimString(v)...)
	return append(b, "\r\n"...)
}

// lengthIsExpected tells whether a server waits for a body, or a word that
// there is none.
func lengthIsExpected(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

// requestTarget returns the path and query as they came, unless they have bytes that
// only an encoded path can have.
func requestTarget(out *http.Request) string {
	uri := out.RequestURI
	if !strings.HasPrefix(uri, "/") {
		return out.URL.RequestURI()
	}
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c >= 0x7f {
			return out.URL.RequestURI()
		}
	}
	return uri
}

// watch ends the exchange's link when the client leaves.
func (ex *exchange) watch() {
	if ex.unwatch == nil {
		ex.unwatch = context.AfterFunc(ex.in.Context(), ex.abort)
	}
}

// abort ends the exchange's link, now or when there is one.
func (ex *exchange) abort() {
	ex.gone.Store(true)
	if l := ex.link.Load(); l != nil {
		l.close()
	}
}
