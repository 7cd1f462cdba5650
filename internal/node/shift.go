package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/deadline"
	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// completeWithin bounds what a recorded shift waits for the proxy without its
// caller.
const completeWithin = time.Minute

// errUnchanged ends a change of the state that is not needed.
var errUnchanged = errors.New("nothing to change")

// shift carries out platform.Platform's Shift. The new state is on the disk
// before the proxy hears of it, so that a crash in between is completed when
// the node starts again.
func (e *environment) shift(ctx context.Context, f ship.Fence, s platform.Shift) error {
	unlock, err := e.traffic.take(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	counted := e.n.proxies.status(ctx).Environments[e.id.String()]
	err = e.change(func(now *envState) error {
		if err := now.admit(f); err != nil {
			return err
		}
		return now.moveTo(f.Run, s, counted, failpoint.Now())
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return err
	}
	// What is recorded is completed, also when the caller is gone by now: the
	// guard and the drain begin, and the workers are switched.
	e.poke()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), completeWithin)
	defer cancel()
	if err := e.n.proxies.apply(ctx); err != nil {
		return err
	}
	return e.switchWorkers()
}

// moveTo makes another slot the active one, in the state, or begins with the
// first of the stages that lead there. To move to the slot that is active ends
// the stages that lead away from it.
func (e *envState) moveTo(run string, s platform.Shift, counted proxy.EnvironmentStatus, at time.Time) error {
	ended := fmt.Sprintf("the watch ended early: run %s shifted to slot %s", run, s.To)
	if e.Active == s.To {
		if e.Split == nil {
			return errUnchanged
		}
		e.endWatch(ended)
		e.endSplit(e.Watch.drains(), at)
		return nil
	}
	if why, ok := e.Latched[run]; ok {
		return ship.Errorf(ship.RolledBack, "shiplock logs, then deploy a mended release", "the release of run %s was taken back: %s", run, why)
	}
	if e.Split != nil && e.Split.To == s.To && e.Watch.Run == run {
		return errUnchanged
	}
	to := e.Slots[s.To]
	if to == nil || !to.Started {
		return ship.Errorf(ship.Failed, "start it first", "nothing runs in slot %q of %s", s.To, e.ID)
	}
	e.endWatch(ended)
	e.Split = nil
	from := e.slot(e.Active)
	if from != nil && !from.Started {
		from = nil
	}
	if s.Watch.For > 0 {
		e.Watch = newWatch(run, s, to, from, counted, at)
		if from != nil {
			e.Watch.Back = e.Active
		}
	}
	if s.Watch.For > 0 && from != nil && len(s.Stages) > 0 {
		e.Watch.Stages, e.Watch.Sticky = s.Stages, s.Sticky
		e.enterStage(0, at)
		return nil
	}
	e.take(run, s.To, drains{s.Drain, s.LongLivedDrain}, max(s.KeepOld, s.Watch.Longest()), at)
	return nil
}

// take makes to the active slot, and lets the one before stay warm for a while.
func (e *envState) take(run string, to ship.Slot, d drains, keep time.Duration, at time.Time) {
	e.Split = nil
	e.leave(to, d, at)
	if e.Old != nil {
		e.Old.Keep = at.Add(keep)
	}
	e.ActiveRun, e.WorkersOff = run, false
}

// endWatch ends a watch that goes on without a conclusion.
func (e *envState) endWatch(why string) {
	if e.Watch.waits() {
		e.Watch.Verdict = ship.Verdict{Outcome: ship.NoConclusion, Reason: why}
	}
}

// drains are how long requests and streams get to end; no time for streams is
// that of requests.
type drains struct{ requests, streams time.Duration }

func (w *watchState) drains() drains { return drains{w.Drain, w.LongLived} }

// leave makes to the active slot and lets the requests of the one before end.
func (e *envState) leave(to ship.Slot, d drains, at time.Time) {
	from := e.slot(e.Active)
	e.Told = ship.Receipt{From: e.Active, To: to, At: at}
	e.Old = nil
	if from != nil && from.Started {
		e.Old = &oldState{Slot: e.Active, Generation: from.Generation, At: at, Drain: d.requests, LongLived: d.streams}
	}
	e.Active = to
}

// setMode carries out platform.Platform's SetMode.
func (e *environment) setMode(ctx context.Context, f ship.Fence, m platform.ModeChange) error {
	if m.Mode != ship.Serving && m.Mode != ship.Holding && m.Mode != ship.Maintenance {
		return ship.Errorf(ship.Invalid, "", "%q is not a mode; modes are serving, holding and maintenance", m.Mode)
	}
	if m.Mode == ship.Holding && m.For <= 0 {
		return ship.Errorf(ship.Invalid, "", "a hold needs a bound")
	}
	if m.Then != "" && m.Then != ship.Serving && m.Then != ship.Maintenance {
		return ship.Errorf(ship.Invalid, "", "a hold cannot end in %q", m.Then)
	}
	unlock, err := e.traffic.take(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	err = e.change(func(s *envState) error {
		if err := s.admit(f); err != nil {
			return err
		}
		mode := modeState{Mode: m.Mode, For: m.For, Text: m.Text, Then: m.Then}
		if m.Mode == ship.Holding {
			mode.Deadline = deadline.In(m.For)
		}
		if s.Mode.Mode == m.Mode && s.Mode.For == m.For {
			mode.Deadline = s.Mode.Deadline // a hold asked for again does not last longer
		}
		if mode == s.Mode {
			return errUnchanged
		}
		s.Mode = mode
		return nil
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return err
	}
	e.poke()
	return e.n.proxies.apply(ctx)
}

// setWorkers carries out platform.Platform's StopWorkers and StartWorkers.
func (e *environment) setWorkers(ctx context.Context, f ship.Fence, off bool) error {
	unlock, err := e.traffic.take(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	err = e.change(func(s *envState) error {
		if err := s.admit(f); err != nil {
			return err
		}
		s.WorkersOff = off
		return nil
	})
	if err != nil {
		return err
	}
	return e.switchWorkers()
}

// switchWorkers makes the workers those of the active slot: the others end
// first, so that no two versions run at once, but for those that may overlap.
// The traffic lock must be held.
func (e *environment) switchWorkers() error { return e.switchWorkersFound(nil) }

func (e *environment) switchWorkersFound(found map[string][]proc) error {
	s := e.now()
	active := s.slot(s.Active)
	wanted := func(k *keeper) bool {
		return k.name == ship.Web || !s.WorkersOff && k.slot == s.Active && active != nil && active.Started
	}
	overlaps := func(k *keeper) bool { return !s.WorkersOff && k.overlap }
	e.halt(func(k *keeper) bool { return !wanted(k) && !overlaps(k) })
	var errs []error
	if active != nil && active.Started && !s.WorkersOff {
		for _, id := range sortedKeys(active.Instances) {
			if active.Instances[id].Process == ship.Web {
				continue
			}
			k, err := e.keep(s.Active, id, found)
			if err == nil {
				_ = k.began() // one that cannot be started is tried again, and a guard hears of it
			}
			errs = append(errs, err)
		}
	}
	e.halt(func(k *keeper) bool { return !wanted(k) })
	return errors.Join(errs...)
}
