// Package log is a notifier that writes a line to the server's own log.
package log

import (
	"context"
	"errors"
	"log/slog"

	"github.com/shiplock/shiplock/internal/notify"
	"github.com/shiplock/shiplock/internal/plugin"
)

// Config is the notifier's part of shiplock.yaml: it has no settings.
type Config struct{}

// A Notifier writes one line for each message.
type Notifier struct{ log *slog.Logger }

var _ notify.Notifier = (*Notifier)(nil)

// New returns a notifier that writes to d.Log.
func New(_ Config, d plugin.Deps) (*Notifier, error) {
	if d.Log == nil {
		return nil, errors.New("no log to write to")
	}
	return &Notifier{d.Log}, nil
}

// Notify implements [notify.Notifier]. Anything but a success is a warning.
func (n *Notifier) Notify(ctx context.Context, m notify.Message) error {
	level := slog.LevelWarn
	if m.Topic == notify.TopicSuccess {
		level = slog.LevelInfo
	}
	r := m.Result
	n.log.LogAttrs(ctx, level, "run ended",
		slog.String("topic", m.Topic),
		slog.String("title", m.Title),
		slog.String("run", r.Run),
		slog.String("environment", r.Environment.String()),
		slog.String("status", string(r.Status)),
		slog.String("reason", r.Reason),
		slog.String("schema", string(r.Schema)),
		slog.Int("serving", r.Serving),
		slog.String("next", r.Next))
	return nil
}
