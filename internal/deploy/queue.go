package deploy

import (
	"context"
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// How a wait for the migration lock is told, and how long a run stands it that
// somebody else holds it. Sessions of lower epochs are ended, not waited for.
const (
	quietWait = time.Second      // shorter waits are nobody's concern
	tellEvery = 10 * time.Second // that it goes on
	lockWait  = 5 * time.Minute
)

// A queue says what is waited for and since when: when that has lasted for a
// moment, when it changes, and now and then.
type queue struct {
	tell  func(text string) // nil outside a wait
	since time.Time
	told  time.Time
	what  string
}

func (q *queue) say(what string) {
	waited := time.Since(q.since)
	if q.tell == nil || waited < quietWait || what == q.what && time.Since(q.told) < tellEvery {
		return
	}
	q.what, q.told = what, time.Now()
	q.tell(fmt.Sprintf("waits for the migration lock since %s (%s): %s", clock(q.since), waited.Round(time.Second), what))
}

// lock takes the migration lock. Whoever has it lawfully, such as a container
// that migrates as it starts, is waited for within bounds.
func (w *work) lock(ctx context.Context) (database.Lock, error) {
	w.waits = queue{tell: w.progress(ctx), since: time.Now()}
	defer func() { w.waits.tell = nil }()
	for {
		l, err := w.db.Lock(ctx, w.fence, w.e.Holder+" run "+w.run.ID)
		waited := time.Since(w.waits.since)
		switch {
		case err == nil && waited >= quietWait:
			w.event(ctx, ship.EventNote, fmt.Sprintf("the migration lock was free after %s", waited.Round(time.Second)), nil)
			return l, nil
		case err == nil:
			return l, nil
		case ship.KindOf(err) != ship.Locked || waited > lockWait || w.detached:
			return nil, w.notFree(waited, err)
		}
		w.waits.say(err.Error())
		if sleep(ctx, time.Second) != nil {
			return nil, w.notFree(waited, err)
		}
	}
}

// notFree says how long the lock was waited for in vain.
func (w *work) notFree(waited time.Duration, err error) error {
	if waited < quietWait {
		return fmt.Errorf("take the migration lock: %w", err)
	}
	return fmt.Errorf("take the migration lock, waited %s: %w", waited.Round(time.Second), err)
}
