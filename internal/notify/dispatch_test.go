package notify_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shiplock/shiplock/internal/notify"
)

// A script answers with its errors in turn, then with nil.
type script struct {
	errs  []error
	calls atomic.Int32
}

func (s *script) Notify(context.Context, notify.Message) error {
	n := int(s.calls.Add(1))
	if n <= len(s.errs) {
		return s.errs[n-1]
	}
	return nil
}

type panics struct{}

func (panics) Notify(context.Context, notify.Message) error { panic("no such field") }

var errBusy = errors.New("busy")

func TestDispatchTellsEverybodyAndReportsEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := fmt.Errorf("%w: status 404", notify.ErrPermanent)
		receivers := []notify.Receiver{
			{Kind: "well", Notifier: &script{}},
			{Kind: "slow to come up", Notifier: &script{errs: []error{errBusy, errBusy}}},
			{Kind: "down", Notifier: &script{errs: []error{errBusy, errBusy, errBusy, errBusy, errBusy}}},
			{Kind: "refuses", Notifier: &script{errs: []error{refused, refused}}},
			{Kind: "faulty", Notifier: panics{}},
			{Kind: "wants rollbacks", Notifier: &script{}, On: []string{notify.TopicRollback}},
			{Kind: "wants failures", Notifier: &script{}, On: []string{notify.TopicRollback, notify.TopicFailure}},
		}
		got := notify.Dispatch(t.Context(), receivers, notify.Message{Topic: notify.TopicFailure})
		want := []struct {
			tries int
			err   error
		}{{1, nil}, {3, nil}, {4, errBusy}, {1, notify.ErrPermanent}, {1, notify.ErrPermanent}, {0, nil}, {1, nil}}
		for i, d := range got {
			if d.Kind != receivers[i].Kind || d.Tries != want[i].tries || !errors.Is(d.Err, want[i].err) {
				t.Errorf("%s: %d tries, error %v; want %d and %v", receivers[i].Kind, d.Tries, d.Err, want[i].tries, want[i].err)
			}
		}
	})
}

func TestDispatchEndsWithItsContextAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		down := notify.Receiver{Kind: "down", Notifier: &script{errs: []error{errBusy, errBusy}}}
		got := notify.Dispatch(ctx, []notify.Receiver{down}, notify.Message{Topic: notify.TopicSuccess})
		if got[0].Tries != 1 || !errors.Is(got[0].Err, errBusy) || !errors.Is(got[0].Err, context.DeadlineExceeded) {
			t.Errorf("Dispatch() = %+v, want one try, its error and why there was no other", got[0])
		}
	})
}
