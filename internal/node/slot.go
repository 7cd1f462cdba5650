package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// setupTimeout bounds each setup command.
const setupTimeout = 15 * time.Minute

// start carries out platform.Platform's Start.
func (e *environment) start(ctx context.Context, f ship.Fence, spec platform.Spec, slot ship.Slot) error {
	unlock, err := e.lockSlot(ctx, slot)
	if err != nil {
		return err
	}
	defer unlock()
	if err := e.n.check(e.id, f); err != nil {
		return err
	}
	if s := e.now().slot(slot); s != nil && s.Started && s.Run == f.Run && s.Spec.Release.Artifact.Digest == spec.Release.Artifact.Digest {
		return e.launch(slot) // done before; what did not come up yet is started
	}
	if err := e.mayStart(spec, slot); err != nil {
		return err
	}
	sealed, err := e.verify(ctx, spec.Release.Artifact.Digest)
	if err != nil {
		return err
	}
	if err := e.n.proxies.reserve(ctx, spec.Environment); err != nil {
		return err
	}
	defer e.n.proxies.unreserve(spec.Environment)
	if err := e.awaitDrained(ctx, slot); err != nil {
		return err
	}
	if err := e.clear(ctx, slot, func() error { return e.place(f, spec, slot, sealed.Venv) }); err != nil {
		return err
	}
	if err := e.writeSecrets(slot, spec.Vars); err != nil {
		return err
	}
	if err := e.setup(ctx, f, spec, slot, sealed.Venv); err != nil {
		return err
	}
	if err := e.recordInstances(f, slot); err != nil {
		return err
	}
	if err := e.launch(slot); errors.Is(err, errLeaving) {
		return err
	} else if err != nil {
		return errors.Join(err, e.empty(context.WithoutCancel(ctx), slot))
	}
	return e.n.proxies.apply(ctx)
}

// mayStart refuses what would take traffic from people.
func (e *environment) mayStart(spec platform.Spec, slot ship.Slot) error {
	if w := spec.Environment.Run.Processes[ship.Web]; len(w.Command) == 0 {
		return ship.Errorf(ship.Invalid, "add run.processes.web to shiplock.yaml", "%s has no process named %s", e.id, ship.Web)
	}
	s := e.now()
	if s != nil && s.Active == slot && s.Slots[slot] != nil && s.Slots[slot].Started && s.Mode.Mode == ship.Serving {
		return ship.Errorf(ship.Invalid, "start it in slot "+string(slot.Other()), "slot %s of %s serves, nothing else can be started in it", slot, e.id)
	}
	return e.n.state.read().conflict(spec.Environment)
}

// place records what is going to be in the slot, and with it that whatever was
// there is not wanted any more. A guard that counted on it is over.
func (e *environment) place(f ship.Fence, spec platform.Spec, slot ship.Slot, venv string) error {
	return e.change(func(s *envState) error {
		if err := s.admit(f); err != nil {
			return err
		}
		s.vacate(slot, fmt.Sprintf("run %s took it for another release", f.Run))
		if old := s.Slots[slot]; old != nil && old.Run == f.Run && !old.Started && !old.Stopped && old.Spec.Release.Artifact.Digest == spec.Release.Artifact.Digest {
			old.Spec = spec // the same Start again, after a crash: its setup is found again
			return nil
		}
		s.Slots[slot] = &slotState{
			Spec: spec, Run: f.Run, Since: time.Now(), Venv: venv, Dir: e.releaseDir(spec.Release.Artifact.Digest),
			Generation: fmt.Sprintf("%s.%s.%s", f.Run, slot, rand.Text()[:8]),
		}
		return nil
	})
}

// setup runs the release's setup commands in order, each of them once for
// this start however often the start is asked for.
func (e *environment) setup(ctx context.Context, f ship.Fence, spec platform.Spec, slot ship.Slot, venv string) error {
	s := e.now().slot(slot)
	dir := filepath.Join(e.runs(f.Run), "setup-"+s.Generation)
	for i, argv := range spec.Environment.Run.Setup {
		t, err := newTask(argv, s.Dir, spec.Environment.Run.User, e.environ(spec, slot, venv))
		if err != nil {
			return err
		}
		name := fmt.Sprintf("setup-%d", i+1)
		j := jobOf(dir, name)
		r, err := e.n.runJob(ctx, j, jobSpec{Task: t, Name: name, Timeout: setupTimeout}, nil)
		if err != nil {
			return err
		}
		if err := failure(strings.Join(argv, " "), r); err != nil {
			return errors.Join(err, os.RemoveAll(dir)) // so that the next start tries again
		}
	}
	return nil
}

// recordInstances decides which instances the slot has and where they listen.
func (e *environment) recordInstances(f ship.Fence, slot ship.Slot) error {
	s := e.now().slot(slot)
	processes := s.Spec.Environment.Run.Processes
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(e.n.Dir + s.Generation)) // two nodes begin to look at different ports
	free, err := ports(max(processes[ship.Web].Instances, 1), e.n.state.read().taken(), int(hash.Sum32()%10000))
	if err != nil {
		return err
	}
	if err := e.turnLogs(slot); err != nil {
		return err
	}
	return e.change(func(s *envState) error {
		if err := s.admit(f); err != nil {
			return err
		}
		in := s.Slots[slot]
		in.Instances = map[string]*instanceState{}
		for _, name := range sortedKeys(processes) {
			for n := range max(processes[name].Instances, 1) {
				i := &instanceState{Process: name, Number: n + 1, State: stateStopped, Since: time.Now()}
				if name == ship.Web {
					i.Port = free[n]
				}
				in.Instances[fmt.Sprintf("%s.%s.%d", slot, name, n+1)] = i
			}
		}
		in.Started, in.Since = true, time.Now()
		return nil
	})
}

// launch starts the slot's web instances and returns when each of them runs,
// or why one cannot.
func (e *environment) launch(slot ship.Slot) error {
	s := e.now().slot(slot)
	var kept []*keeper
	for _, id := range sortedKeys(s.Instances) {
		if s.Instances[id].Process != ship.Web {
			continue
		}
		k, err := e.keep(slot, id, nil)
		if err != nil {
			return err
		}
		kept = append(kept, k)
	}
	for _, k := range kept {
		if err := k.began(); err != nil {
			return fmt.Errorf("instance %s: %w", k.id, err)
		}
	}
	return nil
}

// stop carries out platform.Platform's Stop.
func (e *environment) stop(ctx context.Context, f ship.Fence, slot ship.Slot) error {
	unlock, err := e.lockSlot(ctx, slot)
	if err != nil {
		return err
	}
	defer unlock()
	if err := e.n.check(e.id, f); err != nil {
		return err
	}
	return e.emptyIf(ctx, slot, func(s *envState) error { return s.admit(f) })
}

// empty stops everything in the slot. The slot's lock must be held.
func (e *environment) empty(ctx context.Context, slot ship.Slot) error {
	return e.emptyIf(ctx, slot, func(*envState) error { return nil })
}

func (e *environment) emptyIf(ctx context.Context, slot ship.Slot, allowed func(*envState) error) error {
	if e.now().slot(slot) == nil {
		return nil
	}
	record := func() error {
		return e.change(func(s *envState) error {
			if err := allowed(s); err != nil {
				return err
			}
			s.vacate(slot, "it was stopped")
			s.Slots[slot].Stopped = true
			return nil
		})
	}
	if err := e.clear(ctx, slot, record); err != nil {
		return err
	}
	return e.removeSecrets(slot)
}

// clear ends what runs in the slot, once record has written down that it is
// not wanted any more. Traffic is moved away from it first, and no shift comes
// in between.
func (e *environment) clear(ctx context.Context, slot ship.Slot, record func() error) error {
	unlock, err := e.traffic.take(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	before := e.now().slot(slot)
	if err := record(); err != nil {
		return err
	}
	if err := e.n.proxies.apply(ctx); err != nil {
		return err
	}
	e.finish(ctx, before)
	e.halt(func(k *keeper) bool { return k.slot == slot })
	return nil
}

// lastRequests is what requests get that a slot still has when it is stopped,
// such as those for its assets.
const lastRequests = 5 * time.Second

// finish lets the last requests of a release end, from which traffic was taken.
func (e *environment) finish(ctx context.Context, s *slotState) {
	if s == nil || !s.Started || e.n.proxies.pid() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*lastRequests)
	defer cancel()
	grace := proxy.Grace{Requests: lastRequests, Lasting: lastRequests}
	if _, err := e.n.proxies.drain(ctx, e.id, s.Generation, grace); err != nil {
		e.complain("the last requests of a slot were not waited for", err)
	}
}

// vacate records that what ran in the slot is not wanted any more. A guard
// that counted on it is over.
func (e *envState) vacate(slot ship.Slot, why string) {
	if s := e.Slots[slot]; s != nil {
		s.Started = false
	}
	if e.Active == slot {
		e.Active = ""
	}
	if w := e.Watch; w != nil && (w.Slot == slot || w.Back == slot) {
		e.endWatch(fmt.Sprintf("the watch of slot %s ended early, because of slot %s: %s", w.Slot, slot, why))
	}
	if e.Split != nil && (e.Split.To == slot || e.Active == "") {
		e.Split = nil
	}
	if e.Old != nil && e.Old.Slot == slot {
		e.Old = nil
	}
}

// awaitDrained waits until the requests of the release that was swapped out
// of the slot have ended. The drain has a deadline of its own.
func (e *environment) awaitDrained(ctx context.Context, slot ship.Slot) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		s := e.now()
		if s == nil || s.Old == nil || s.Old.Slot != slot || s.Old.Drained {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for requests of slot %s: %w", slot, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
