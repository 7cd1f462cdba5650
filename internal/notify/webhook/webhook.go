// Package webhook is a notifier that posts the message as JSON to a URL. It
// knows nothing of any one receiver's format.
//
// A delivery may arrive twice, since a lost answer is tried again: both carry
// the same Shiplock-Delivery header. With a secret the Shiplock-Signature
// header is "sha256=" and the HMAC-SHA256 of the body in hexadecimal.
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

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

// A Notifier posts messages.
type Notifier struct {
	cfg     Config
	resolve func(ship.Value) (ship.Secret, error)
	poster  *notify.Poster
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
	return &Notifier{cfg: cfg, resolve: d.Resolve, poster: notify.NewPoster()}, nil
}

// Notify implements [notify.Notifier].
func (n *Notifier) Notify(ctx context.Context, m notify.Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("%w: encode the message: %w", notify.ErrPermanent, err)
	}
	to, err := n.resolve(n.cfg.URL)
	if err != nil {
		return fmt.Errorf("%w: url: %w", notify.ErrPermanent, err)
	}
	header, err := n.header(body)
	if err != nil {
		return fmt.Errorf("%w: %w", notify.ErrPermanent, err)
	}
	return n.poster.Post(ctx, to, header, body)
}

func (n *Notifier) header(body []byte) (http.Header, error) {
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("Shiplock-Delivery", deliveryID(body))
	for name, value := range n.cfg.Headers {
		text, err := n.resolve(value)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", name, err)
		}
		h.Set(name, text.Reveal())
	}
	if n.cfg.Secret == "" {
		return h, nil
	}
	key, err := n.resolve(n.cfg.Secret)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	h.Set("Shiplock-Signature", sign(key, body))
	return h, nil
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
