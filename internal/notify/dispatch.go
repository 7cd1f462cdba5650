package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shiplock/shiplock/internal/backoff"
)

// The topics of messages, which a configuration names in "on".
const (
	TopicSuccess  = "success"
	TopicFailure  = "failure"
	TopicRollback = "rollback"
)

// ErrPermanent marks an error of a [Notifier] that trying again would not
// change: the receiver said no, or the settings are wrong.
var ErrPermanent = errors.New("not tried again")

// A Receiver is a notifier and what it wants to hear of.
type Receiver struct {
	Kind     string // of the notifier, for the person who reads the outcome
	Notifier Notifier
	On       []string // topics; none means all
}

// A Delivery is what became of one message to one receiver.
type Delivery struct {
	Kind  string
	Tries int   // 0 when the receiver does not want the topic
	Err   error // nil when it was delivered, or not wanted
}

// policy keeps the whole of a delivery under about a minute: four tries of ten
// seconds and pauses of one, two and four.
func policy() backoff.Policy {
	return backoff.Policy{Tries: 4, First: time.Second, Max: 4 * time.Second}
}

// Dispatch tells m to every receiver that wants its topic, all at once, and
// tries again what may work the next time. It returns when the last is
// settled, with one delivery for each receiver in their order: a receiver that
// cannot be reached keeps nobody else from being told and is reported, never
// swallowed.
func Dispatch(ctx context.Context, receivers []Receiver, m Message) []Delivery {
	deliveries := make([]Delivery, len(receivers))
	var wg sync.WaitGroup
	for i, r := range receivers {
		deliveries[i].Kind = r.Kind
		if len(r.On) > 0 && !slices.Contains(r.On, m.Topic) {
			continue
		}
		wg.Go(func() {
			deliveries[i].Tries, deliveries[i].Err = policy().Do(ctx,
				func(ctx context.Context) error { return notifyOnce(ctx, r.Notifier, m) },
				func(err error) bool { return errors.Is(err, ErrPermanent) })
		})
	}
	wg.Wait()
	return deliveries
}

// notifyOnce turns a panic into an error, since a fault in telling people must
// not take the run with it.
func notifyOnce(ctx context.Context, n Notifier, m Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: notifier failed: %v", ErrPermanent, p)
		}
	}()
	return n.Notify(ctx, m)
}
