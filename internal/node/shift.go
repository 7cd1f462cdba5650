package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/platform"
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
	err = e.change(func(now *envState) error {
		if err := now.admit(f); err != nil {
			return err
		}
		return now.moveTo(f.Run, s, failpoint.Now())
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

// moveTo makes another slot the active one, in the state.
func (e *envState) moveTo(run string, s platform.Shift, at time.Time) error {
	if e.Active == s.To {
		return errUnchanged
	}
	if why, ok := e.Latched[run]; ok {
		return ship.Errorf(ship.RolledBack, "shiplock logs, then deploy a mended release", "the release of run %s was taken back: %s", run, why)
	}
	to := e.Slots[s.To]
	if to == nil || !to.Started {
		return ship.Errorf(ship.Failed, "start it first", "nothing runs in slot %q of %s", s.To, e.ID)
	}
	if w := e.Watch; w != nil && w.Verdict.Outcome == ship.Wait {
		w.Verdict = ship.Verdict{Outcome: ship.NoConclusion, Reason: fmt.Sprintf("the watch ended early: run %s shifted to slot %s", run, s.To)}
	}
	e.leave(s.To, s.Drain, at)
	if e.Old != nil {
		e.Old.Keep = at.Add(max(s.KeepOld, s.Watch.Longest()))
	}
	e.ActiveRun, e.WorkersOff = run, false
	if s.Watch.For > 0 {
		e.Watch = &watchState{Run: run, Slot: s.To, Limits: s.Watch, Began: at, Verdict: ship.Verdict{Outcome: ship.Wait, Reason: "the watch has begun"}}
		if e.Old != nil {
			e.Watch.Back = e.Old.Slot
		}
	}
	return nil
}

// leave makes to the active slot and lets the requests of the one before end.
func (e *envState) leave(to ship.Slot, drain time.Duration, at time.Time) {
	from := e.slot(e.Active)
	e.Told = ship.Receipt{From: e.Active, To: to, At: at}
	e.Old = nil
	if from != nil && from.Started {
		e.Old = &oldState{Slot: e.Active, Generation: from.Generation, At: at, Drain: drain}
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
			mode.Until = failpoint.Now().Add(m.For)
		}
		if s.Mode.Mode == m.Mode && s.Mode.For == m.For {
			mode.Until = s.Mode.Until // a hold asked for again does not last longer
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
