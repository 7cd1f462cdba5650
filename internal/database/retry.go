package database

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// The times of [Retry]. Who waits for a lock has everybody else queue behind,
// so the first tries are short.
const (
	firstWait  = 200 * time.Millisecond
	firstPause = 250 * time.Millisecond
	mostPause  = 15 * time.Second
)

// Retry calls do until it succeeds, fails for another reason than [ErrBusy],
// or the budget is used up; do is to wait for a lock no longer than it is told,
// which is never longer than longest. Between two tries nobody queues behind
// us. Without a budget do is called once. Tell is told why the last try failed
// and when the next one is.
func Retry(ctx context.Context, budget, longest time.Duration, do func(wait time.Duration) error, tell func(string)) error {
	wait, pause := min(firstWait, longest), firstPause
	if budget <= 0 {
		wait = longest
	}
	begun := time.Now()
	for tries := 1; ; tries++ {
		err := do(wait)
		if err == nil || !errors.Is(err, ErrBusy) || ctx.Err() != nil || budget <= 0 {
			return err
		}
		// All who failed together do not come back together.
		next := pause/2 + rand.N(pause)
		if time.Since(begun)+next+wait > budget {
			return fmt.Errorf("%w; tried %d times in %s", err, tries, time.Since(begun).Round(time.Second))
		}
		if tell != nil {
			tell(fmt.Sprintf("%v; nothing was changed, try %d is in %s", err, tries+1, next.Round(time.Millisecond)))
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		case <-time.After(next):
		}
		wait, pause = min(2*wait, longest), min(2*pause, mostPause)
	}
}
