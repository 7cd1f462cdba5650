package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// never is a time that does not come.
func never() time.Time { return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }

// mind does what has to happen in the environment when nobody asks for it: it
// ends a hold, drains, guards a swap, and stops the old slot when its time is
// over. All of it is in the state, with absolute times, so that it happens
// also after the node was killed. It returns when ctx ends.
func (e *environment) mind(ctx context.Context) {
	var drain, guard, streams background
	defer drain.end()
	defer streams.end()
	defer guard.end()
	for ctx.Err() == nil {
		s := e.now()
		next := never()
		if s != nil {
			next = e.duties(ctx, s, &drain, &guard)
			e.endStreams(ctx, s, &streams)
		}
		timer := time.NewTimer(next.Sub(failpoint.Now()))
		select {
		case <-ctx.Done():
		case <-e.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// duties begins what is due and returns when to look again at the latest.
func (e *environment) duties(ctx context.Context, s *envState, drain, guard *background) time.Time {
	next := never()
	soon := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	now := failpoint.Now()
	if s.Mode.Mode == ship.Holding {
		if left := s.Mode.Left(); left > 0 {
			soon(now.Add(left))
		} else if err := e.letGo(ctx, s.Mode); err != nil {
			e.complain("a hold was not ended", err)
			soon(now.Add(time.Second))
		}
	}
	switch old := s.Old; {
	case old == nil:
		drain.end()
	case !old.Drained:
		drain.begin(ctx, old.Generation, func(ctx context.Context) { e.drain(ctx, *old) })
	case old.Keep.IsZero() || s.guards(old.Slot): // it stays until a person or another release takes it
	case now.Before(old.Keep):
		soon(old.Keep)
	default:
		if err := e.retire(ctx, *old); err != nil {
			e.complain("an old slot was not stopped", err)
			soon(now.Add(time.Second))
		}
	}
	if w := s.Watch; w.waits() {
		// A guard sees by itself when it is not wanted any more. It is not cut
		// off, because it may be giving traffic back.
		guard.begin(ctx, fmt.Sprint(w.Run, w.Began.UnixNano()), func(ctx context.Context) { e.guard(ctx, *w) })
	}
	return next
}

// endStreams asks the streams of the active slot to end when requests are held
// or refused: whoever closed the site waits for what was admitted before. Their
// clients come back, and wait with the others.
func (e *environment) endStreams(ctx context.Context, s *envState, streams *background) {
	active := s.slot(s.Active)
	if s.Mode.Mode == ship.Serving || active == nil || !active.Started {
		streams.end()
		return
	}
	within := s.Mode.For / 8 // of a hold, a quarter of which is for requests to end
	if s.Mode.Mode == ship.Maintenance {
		within = active.Spec.Environment.Drain / 2
	}
	name := fmt.Sprint(active.Generation, s.Mode.Mode, s.Mode.Until.UnixNano())
	if streams.stop != nil && streams.name == name {
		return // asked once
	}
	streams.begin(ctx, name, func(ctx context.Context) {
		err := e.n.proxies.apply(ctx) // so that nothing is admitted any more
		if err == nil {
			err = e.n.proxies.endStreams(ctx, e.id, active.Generation, max(within, time.Second))
		}
		if err != nil && ctx.Err() == nil {
			e.complain("streams were not asked to end", err)
		}
	})
}

// guards tells whether a watch, or the person it called, may yet give traffic
// back to the slot.
func (e *envState) guards(slot ship.Slot) bool {
	return e.Watch != nil && e.Watch.Back == slot && (e.Watch.waits() || e.Watch.Held)
}

func (e *environment) complain(what string, err error) {
	if !errors.Is(err, context.Canceled) {
		e.n.Log.Error("a duty of the node was not done", "environment", e.id.String(), "duty", what, "error", err)
	}
}

// letGo ends a hold that nobody ended in time.
func (e *environment) letGo(ctx context.Context, held modeState) error {
	unlock, err := e.traffic.take(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	err = e.insist(func(s *envState) error {
		if s.Mode.Mode != held.Mode || !s.Mode.Until.Equal(held.Until) {
			return errUnchanged
		}
		s.Mode = modeState{Mode: ship.Serving}
		if held.Then == ship.Maintenance {
			s.Mode = modeState{Mode: ship.Maintenance, For: time.Minute}
		}
		return nil
	})
	if errors.Is(err, errUnchanged) {
		return nil // somebody ended it meanwhile
	}
	if err != nil {
		return err
	}
	e.n.Log.Warn("a hold reached its bound", "environment", e.id.String(), "bound", held.For, "then", held.Then)
	return e.n.proxies.apply(ctx)
}

// drain waits until the requests of the slot that was active have ended, and
// records how many did.
func (e *environment) drain(ctx context.Context, old oldState) {
	if err := e.n.proxies.apply(ctx); err != nil { // the shift may be recorded and not yet in force
		e.complain("requests of the old slot were not drained", err)
		pause(ctx, time.Second)
		e.poke()
		return
	}
	since := failpoint.Now().Sub(old.At)
	grace := proxy.Grace{Requests: max(old.Drain-since, 0), Lasting: max(cmp.Or(old.LongLived, old.Drain)-since, 0)}
	report, err := e.n.proxies.drain(ctx, e.id, old.Generation, grace)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		e.complain("requests of the old slot were not drained", err)
		pause(ctx, time.Second) // a new worker knows nothing of them and says so
		e.poke()
	}
	gone := err == nil || grace == (proxy.Grace{})
	err = e.change(func(s *envState) error {
		if s.Old == nil || s.Old.Generation != old.Generation || !gone {
			return errUnchanged
		}
		s.Old.Drained = true
		tell(&s.Told, report)
		s.Told.Took = failpoint.Now().Sub(old.At)
		return nil
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		e.complain("a drain was not recorded", err)
	}
	e.poke()
}

// tell writes a drain on the receipt of its swap.
func tell(r *ship.Receipt, d proxy.DrainReport) {
	r.InFlight, r.Drained, r.Cut, r.Protocols = d.InFlight, d.Drained, d.Cut, d.Protocols
	r.Admitted, r.Finished, r.Lost, r.GivenUp = d.Admitted, d.Finished, d.Lost, d.GivenUp
}

// retire stops the old slot when it has been kept long enough.
func (e *environment) retire(ctx context.Context, old oldState) error {
	unlock, err := e.lockSlot(ctx, old.Slot)
	if err != nil {
		return err
	}
	defer unlock()
	err = e.emptyIf(ctx, old.Slot, func(s *envState) error {
		if s.Old == nil || s.Old.Generation != old.Generation || !s.Old.At.Equal(old.At) || s.Active == old.Slot || s.guards(old.Slot) {
			return errUnchanged // somebody came before us
		}
		return nil
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// A background is a piece of work that goes on beside its owner, one at a
// time. It is named, so that the same is not begun twice.
type background struct {
	name string
	stop context.CancelFunc
	done chan struct{}
}

// begin begins the work unless it is under way or was done under this name.
func (b *background) begin(ctx context.Context, name string, work func(context.Context)) {
	if b.stop != nil && b.name == name && !b.over() {
		return
	}
	b.end()
	ctx, cancel := context.WithCancel(ctx)
	b.name, b.stop, b.done = name, cancel, make(chan struct{})
	go func(done chan<- struct{}) {
		defer close(done)
		work(ctx)
	}(b.done)
}

func (b *background) over() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

// end ends the work and waits for it.
func (b *background) end() {
	if b.stop == nil {
		return
	}
	b.stop()
	<-b.done
	b.stop = nil
}
