// Package backoff tries again what may work the next time, with growing
// pauses and an end. It knows nothing of what is tried: whether an error is
// worth another try is the caller's to say.
package backoff

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// A Policy says how often something is tried and how long the pauses between
// the tries are. Its zero value tries once.
type Policy struct {
	Tries int           // at most so many, at least one
	First time.Duration // pause after the first try; it doubles with each
	Max   time.Duration // no pause is longer; zero is no bound
}

// Do calls try until it succeeds, until final says that its error will not
// change, until the tries are used up, or until ctx ends. It returns how often
// try was called and the error of the last call. A nil final takes every
// error for one that may change.
func (p Policy) Do(ctx context.Context, try func(context.Context) error, final func(error) bool) (tries int, err error) {
	pause := p.First
	for {
		tries++
		err = try(ctx)
		if err == nil || tries >= p.Tries || (final != nil && final(err)) {
			return tries, err
		}
		if p.Max > 0 {
			pause = min(pause, p.Max)
		}
		if stopped := wait(ctx, jitter(pause)); stopped != nil {
			return tries, errors.Join(err, stopped)
		}
		pause *= 2
	}
}

// jitter shortens a pause by up to a quarter, so that many who failed together
// do not come back together.
func jitter(pause time.Duration) time.Duration {
	if pause < 4 {
		return pause
	}
	return pause - rand.N(pause/4)
}

func wait(ctx context.Context, pause time.Duration) error {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
