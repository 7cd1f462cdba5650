package backoff_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shiplock/shiplock/internal/backoff"
)

var errBusy = errors.New("busy")

func TestDoStopsWhenTheTriesAreUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := backoff.Policy{Tries: 4, First: time.Second, Max: 3 * time.Second}
		began := time.Now()
		tries, err := p.Do(t.Context(), func(context.Context) error { return errBusy }, nil)
		if tries != 4 || !errors.Is(err, errBusy) {
			t.Errorf("Do() = %d, %v; want 4 tries and the last error", tries, err)
		}
		// Pauses of 1, 2 and 3 seconds, each up to a quarter shorter.
		if took := time.Since(began); took > 6*time.Second || took < 4500*time.Millisecond {
			t.Errorf("took %v, want between 4.5s and 6s", took)
		}
	})
}

func TestDoStopsAtTheFirstSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		tries, err := backoff.Policy{Tries: 9, First: time.Minute}.Do(t.Context(), func(context.Context) error {
			if calls++; calls < 3 {
				return errBusy
			}
			return nil
		}, nil)
		if tries != 3 || err != nil {
			t.Errorf("Do() = %d, %v; want 3 tries and no error", tries, err)
		}
	})
}

func TestDoDoesNotRepeatWhatIsFinal(t *testing.T) {
	tries, err := backoff.Policy{Tries: 9, First: time.Hour}.Do(t.Context(),
		func(context.Context) error { return errBusy },
		func(err error) bool { return errors.Is(err, errBusy) })
	if tries != 1 || !errors.Is(err, errBusy) {
		t.Errorf("Do() = %d, %v; want one try", tries, err)
	}
}

func TestDoEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		tries, err := backoff.Policy{Tries: 9, First: time.Hour}.Do(ctx, func(context.Context) error { return errBusy }, nil)
		if tries != 1 || !errors.Is(err, errBusy) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Do() = %d, %v; want one try, its error and the reason for stopping", tries, err)
		}
	})
}

func TestTheZeroPolicyTriesOnce(t *testing.T) {
	tries, err := backoff.Policy{}.Do(t.Context(), func(context.Context) error { return errBusy }, nil)
	if tries != 1 || !errors.Is(err, errBusy) {
		t.Errorf("Do() = %d, %v; want one try", tries, err)
	}
}
