// Package notify is the seam for telling people how a run ended. It owns the
// Notifier interface and the dispatcher; each kind is a package below it.
package notify

import (
	"context"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Notifier tells somebody. It tries once; trying again is the caller's.
type Notifier interface {
	Notify(ctx context.Context, m Message) error
}

// A Message is what there is to tell.
type Message struct {
	Topic  string      `json:"topic"` // "success", "failure", "rollback"
	Title  string      `json:"title"`
	Result ship.Result `json:"result"`
}
