package database_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shiplock/shiplock/internal/database"
)

var errBusy = fmt.Errorf("%w: somebody", database.ErrBusy)

func TestRetryWaitsALittleLongerEachTimeAndEndsWithItsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waits []time.Duration
		told := 0
		begun := time.Now()
		err := database.Retry(t.Context(), time.Minute, 5*time.Second, func(wait time.Duration) error {
			waits = append(waits, wait)
			<-time.After(wait)
			return errBusy
		}, func(string) { told++ })
		if !errors.Is(err, database.ErrBusy) || !strings.Contains(err.Error(), fmt.Sprintf("; tried %d times in ", len(waits))) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begun); took > time.Minute || took < 30*time.Second {
			t.Errorf("it took %s of a minute", took)
		}
		if len(waits) < 6 || waits[0] != 200*time.Millisecond || waits[1] != 400*time.Millisecond || waits[len(waits)-1] != 5*time.Second || told != len(waits)-1 {
			t.Errorf("waits %v, told %d times", waits, told)
		}
	})
}

func TestRetryTriesNothingAgainThatFailedForAnotherReasonOrHasNoBudget(t *testing.T) {
	other := errors.New("no such table")
	for _, c := range []struct {
		budget time.Duration
		err    error
		wait   time.Duration
	}{{time.Minute, other, 200 * time.Millisecond}, {0, errBusy, 5 * time.Second}, {time.Minute, nil, 200 * time.Millisecond}} {
		calls := 0
		err := database.Retry(t.Context(), c.budget, 5*time.Second, func(wait time.Duration) error {
			if calls++; wait != c.wait {
				t.Errorf("waits %s, want %s", wait, c.wait)
			}
			return c.err
		}, nil)
		if calls != 1 || !errors.Is(err, c.err) {
			t.Errorf("%d calls, %v", calls, err)
		}
	}
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := database.Retry(ctx, time.Hour, time.Second, func(time.Duration) error { return errBusy }, nil)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, database.ErrBusy) {
			t.Errorf("got %v", err)
		}
	})
}
