// Package webhook is a notifier that posts the message as JSON to a URL. It
// knows nothing of any one receiver's format.
//
// A delivery may arrive twice, since a lost answer is tried again: both carry
// the same Shiplock-Delivery header. With a secret the Shiplock-Signature
// header is "sha256=" and the HMAC-SHA256 of the body in hexadecimal.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/shiplock/shiplock/internal/notify"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// Config is the notifier's part of shiplock.yaml.
type Config struct {
	URL     ship.Value            `json:"url"`
	Headers map[string]ship.Value `json:"headers,omitempty"`
	Secret  ship.Value            `json:"secret,omitempty"` // key of the signature; none means unsigned
}

const (
	timeout      = 10 * time.Second
	maxRedirects = 3
	maxAnswer    = 64 << 10 // bytes read of an answer, so that its connection can be used again
)

// A Notifier posts messages.
type Notifier struct {
	cfg     Config
	resolve func(ship.Value) (ship.Secret, error)
	client  *http.Client
}

var _ notify.Notifier = (*Notifier)(nil)

// New returns a notifier. References in its settings are resolved with each
// message, so that a rotated secret is taken up.
func New(cfg Config, d plugin.Deps) (*Notifier, error) {
	if cfg.URL == "" {
		return nil, ship.Errorf(ship.Invalid, "set url, for example url: https://chat.example.org/hook", "a webhook needs a url")
	}
	if d.Resolve == nil {
		return nil, errors.New("no way to resolve references")
	}
	client := &http.Client{
		Transport:     &http.Transport{DialContext: dialer().DialContext, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxAnswer},
		CheckRedirect: sameHost,
		Timeout:       timeout,
	}
	return &Notifier{cfg: cfg, resolve: d.Resolve, client: client}, nil
}

// Notify implements [notify.Notifier]. No error holds the URL, which for many
// receivers is the secret.
func (n *Notifier) Notify(ctx context.Context, m notify.Message) error {
	defer n.client.CloseIdleConnections()
	req, err := n.request(ctx, m)
	if err != nil {
		return fmt.Errorf("%w: %w", notify.ErrPermanent, err)
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return fmt.Errorf("post to the webhook: %w", withoutURL(err))
	}
	defer resp.Body.Close()
	// Only the status counts; a body that breaks off changes nothing.
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	return judge(resp.StatusCode)
}

func (n *Notifier) request(ctx context.Context, m notify.Message) (*http.Request, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode the message: %w", err)
	}
	target, err := n.target()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return nil, withoutURL(err)
	}
	req.Header.Set("User-Agent", "shiplock")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Shiplock-Delivery", deliveryID(body))
	for name, value := range n.cfg.Headers {
		text, err := n.resolve(value)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", name, err)
		}
		req.Header.Set(name, text.Reveal())
	}
	if n.cfg.Secret == "" {
		return req, nil
	}
	key, err := n.resolve(n.cfg.Secret)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	req.Header.Set("Shiplock-Signature", sign(key, body))
	return req, nil
}

// target returns the resolved URL, checked without ever being named.
func (n *Notifier) target() (string, error) {
	text, err := n.resolve(n.cfg.URL)
	if err != nil {
		return "", fmt.Errorf("url: %w", err)
	}
	u, err := url.Parse(text.Reveal())
	if err != nil {
		return "", fmt.Errorf("url: %w", withoutURL(err))
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return "", ship.Errorf(ship.Invalid, "set url to https://…", "url: its scheme is %q, want https or http and a host", u.Scheme)
	}
	return u.String(), nil
}

// deliveryID names a message by its content, so that a repeated one is known.
func deliveryID(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:16])
}

func sign(key ship.Secret, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
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
		return fmt.Errorf("%w: the webhook answered %d %s", notify.ErrPermanent, status, http.StatusText(status))
	}
	return fmt.Errorf("the webhook answered %d %s", status, http.StatusText(status))
}

// withoutURL strips the URL that errors of net/http and net/url carry.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
