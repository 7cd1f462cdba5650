package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/shiplock/shiplock/internal/outside"
	"github.com/shiplock/shiplock/internal/ship"
)

const (
	postTimeout  = 10 * time.Second
	maxRedirects = 3
	maxAnswer    = 64 << 10 // bytes read of an answer and of its header
)

// A Poster posts to receivers outside: with a time-out, to one host only, to
// no address that is a machine's own, and without ever naming the URL, which
// for many receivers is the secret. Every notifier over HTTP uses one.
type Poster struct{ client *http.Client }

// NewPoster returns a Poster.
func NewPoster() *Poster {
	return &Poster{&http.Client{
		Transport: &http.Transport{
			DialContext: dial, ForceAttemptHTTP2: true,
			DisableKeepAlives: true, MaxResponseHeaderBytes: maxAnswer,
		},
		CheckRedirect: sameHost,
		Timeout:       postTimeout,
	}}
}

// Post sends body to the URL and succeeds when it is answered by a 2xx status.
// Its error is an [ErrPermanent] where trying again would change nothing.
func (p *Poster) Post(ctx context.Context, to ship.Secret, header http.Header, body []byte) error {
	u, err := url.Parse(to.Reveal())
	if err != nil {
		return fmt.Errorf("%w: url: %w", ErrPermanent, withoutURL(err))
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return fmt.Errorf("%w: url: its scheme is %q, want https or http and a host", ErrPermanent, u.Scheme)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPermanent, withoutURL(err))
	}
	if header != nil {
		req.Header = header.Clone()
	}
	req.Header.Set("User-Agent", "shiplock")
	resp, err := p.client.Do(req)
	if err != nil {
		return fmt.Errorf("post: %w", withoutURL(err))
	}
	defer resp.Body.Close()
	// Only the status counts; a body that breaks off changes nothing.
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	return judge(resp.StatusCode)
}

// judge says what a status means. The statuses that ask to come back later,
// and the receiver's own failures, are tried again; every other refusal would
// be the same the next time.
func judge(status int) error {
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
	case status == http.StatusNotImplemented, status == http.StatusHTTPVersionNotSupported, status < 500:
		return fmt.Errorf("%w: the receiver answered %d %s", ErrPermanent, status, http.StatusText(status))
	}
	return fmt.Errorf("the receiver answered %d %s", status, http.StatusText(status))
}

// withoutURL strips the URL that errors of net/http and net/url carry.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// sameHost lets a POST be redirected within its host only: headers and body
// were meant for that one. A redirect that turns it into a GET would lose the
// message and look like a success.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: more than %d redirects", ErrPermanent, maxRedirects)
	case req.URL.Scheme != first.Scheme || req.URL.Host != first.Host:
		return fmt.Errorf("%w: redirected to another host", ErrPermanent)
	case req.Method != http.MethodPost:
		return fmt.Errorf("%w: redirected to a GET, which would lose the message", ErrPermanent)
	}
	return nil
}

// dial refuses addresses that no receiver of messages has.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := outside.Dialer(postTimeout).DialContext(ctx, network, address)
	if errors.Is(err, outside.ErrAddress) {
		return nil, fmt.Errorf("%w: it is no address of a receiver: %w", ErrPermanent, err)
	}
	return conn, err
}
