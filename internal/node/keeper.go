package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/ship"
)

// How long a process that exited stays down: it doubles from the first to the
// last, and begins again when the process lived long enough.
const (
	firstBackoff = 500 * time.Millisecond
	lastBackoff  = 30 * time.Second
	longEnough   = time.Minute
)

// defaultGrace is between SIGTERM and SIGKILL when a process names no time.
const defaultGrace = 10 * time.Second

// instanceMark is the variable by which a process is found whose pid a killed
// node had no time to write down.
const instanceMark = "SHIPLOCK_INSTANCE"

// The states of an instance.
const (
	stateRunning = "running"
	stateBackoff = "backoff"
	stateStopped = "stopped"
)

// A keeper keeps one instance running until it is told to stop.
type keeper struct {
	e          *environment
	slot       ship.Slot
	id         string
	name       string // of its process
	overlap    bool   // it may run beside that of another version
	grace      time.Duration
	task       task
	mark       string
	generation string
	out        *logFile
	log        *slog.Logger

	stop  context.CancelFunc
	done  chan struct{}
	first chan error // how the first start went
}

// mark is the value of [instanceMark] of an instance.
func (n *node) mark(id ship.EnvironmentID, generation, instance string) string {
	return n.Dir + "|" + id.String() + "|" + generation + "|" + instance
}

// keep starts a keeper for an instance of the slot unless there is one. found
// are the processes that bear the node's marks.
func (e *environment) keep(slot ship.Slot, id string, found map[string][]proc) (*keeper, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if k := e.keepers[id]; k != nil {
		return k, nil
	}
	s := e.now().slot(slot)
	if s == nil || s.Instances[id] == nil {
		return nil, fmt.Errorf("instance %s of %s is not recorded", id, e.id)
	}
	i := s.Instances[id]
	k := &keeper{
		e: e, slot: slot, id: id, mark: e.n.mark(e.id, s.Generation, id), generation: s.Generation, out: e.logFile(id),
		log:  e.n.Log.With("environment", e.id.String(), "instance", id, "release", s.Spec.Release.Number),
		done: make(chan struct{}), first: make(chan error, 1),
	}
	p := s.Spec.Environment.Run.Processes[i.Process]
	k.name, k.overlap = i.Process, p.Overlap
	if k.grace = p.Grace; k.grace <= 0 {
		k.grace = defaultGrace
	}
	vars, err := e.readSecrets(slot)
	if err != nil {
		return nil, err
	}
	spec := s.Spec
	spec.Vars = hide(vars)
	env := e.environ(spec, slot, s.Venv)
	env[instanceMark] = k.mark
	if i.Port != 0 {
		env["PORT"] = fmt.Sprint(i.Port)
	}
	if k.task, err = newTask(p.Command, s.Dir, s.Spec.Environment.Run.User, env); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	k.stop = cancel
	e.keepers[id] = k
	living := e.living(i, found[k.mark])
	lost := living == nil && i.State == stateRunning
	sameBoot := i.Boot == e.n.boot
	e.n.life.Go(func() {
		if lost {
			k.recordLost(sameBoot)
		}
		k.run(ctx, living)
	})
	return k, nil
}

// living is the instance's process if it still runs from before.
func (e *environment) living(i *instanceState, found []proc) *process {
	if i.PID != 0 && i.Boot == e.n.boot {
		if p, ok := e.n.takeBack(proc{pid: i.PID, start: i.Start}); ok {
			return p
		}
	}
	// Of those that bear its mark the instance is the one that leads its
	// session; its own children may have made sessions too, but later.
	var oldest *proc
	for _, p := range found {
		if p.pid == p.session && (oldest == nil || p.start < oldest.start) {
			oldest = &p
		}
	}
	if oldest != nil {
		if p, ok := e.n.takeBack(*oldest); ok {
			return p
		}
	}
	return nil
}

// run is the keeper's life. It returns when it was told to stop and the
// process is gone, or when the node leaves the process to the next one.
func (k *keeper) run(ctx context.Context, p *process) {
	defer close(k.done)
	backoff := firstBackoff
	for {
		began := time.Now()
		var err error
		if p == nil {
			p, err = k.start()
		}
		k.record(p, err)
		select {
		case k.first <- err:
		default: // later starts are nobody's business
		}
		if err == nil {
			select {
			case <-ctx.Done():
				p.end(k.grace)
			case <-p.exited:
			}
			if p.left {
				return
			}
		}
		if ctx.Err() != nil {
			k.recordStopped()
			return
		}
		if err == nil {
			err = errors.New(p.how)
			k.log.Warn("an instance exited", "how", p.how)
		}
		if p = nil; time.Since(began) > longEnough {
			backoff = firstBackoff
		}
		k.recordExit(err)
		if !k.sleep(ctx, backoff) {
			return
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// began returns when the process was started for the first time, or why it was
// not.
func (k *keeper) began() error {
	select {
	case err := <-k.first:
		select {
		case k.first <- err: // for who asks again
		default:
		}
		return err
	case <-k.done:
		return nil
	case <-k.e.n.left:
		return errLeaving
	}
}

// sleep waits before the next start. It returns false when there is none.
func (k *keeper) sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		k.recordStopped()
		return false
	case <-k.e.n.left:
		return false
	}
}

func (k *keeper) start() (*process, error) {
	cmd, err := k.task.cmd()
	if err != nil {
		return nil, err
	}
	out, err := k.out.open()
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	return k.e.n.spawn(cmd)
}

// record writes down the process, so that it is known again after a crash.
func (k *keeper) record(p *process, err error) {
	if err != nil {
		return
	}
	k.edit(func(i *instanceState) {
		i.State, i.PID, i.Start, i.Boot, i.Since = stateRunning, p.pid, p.start, k.e.n.boot, failpoint.Now()
	})
}

func (k *keeper) recordExit(how error) {
	k.edit(func(i *instanceState) {
		i.State, i.PID, i.Exit, i.ExitAt = stateBackoff, 0, how.Error(), failpoint.Now()
		i.Restarts++
	})
	k.e.raise()
}

// recordLost writes down that the process ended while no node was there to
// see it. That a reboot ended it says nothing against the release.
func (k *keeper) recordLost(sameBoot bool) {
	k.edit(func(i *instanceState) {
		i.PID, i.Exit = 0, "exit code unknown: it ended while the node was down"
		i.Restarts++
		if i.ExitAt = failpoint.Now(); !sameBoot {
			i.Exit, i.ExitAt = "the machine was started again", time.Time{}
		}
	})
	k.e.poke()
}

func (k *keeper) recordStopped() {
	k.edit(func(i *instanceState) { i.State, i.PID = stateStopped, 0 })
}

// edit changes what is recorded of the instance. A full disk does not end an
// instance: what could not be written is found again by the mark.
func (k *keeper) edit(edit func(*instanceState)) {
	err := k.e.change(func(s *envState) error {
		slot := s.slot(k.slot)
		if slot == nil || slot.Generation != k.generation || slot.Instances[k.id] == nil {
			return errUnchanged // another release has the slot now
		}
		edit(slot.Instances[k.id])
		return nil
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		k.log.Error("what became of an instance was not recorded", "error", err)
	}
}

// halt stops the keepers that match, waits until their processes are gone, and
// forgets them.
func (e *environment) halt(match func(*keeper) bool) {
	e.mu.Lock()
	var halted []*keeper
	for _, k := range e.keepers {
		if match(k) {
			halted = append(halted, k)
		}
	}
	e.mu.Unlock()
	for _, k := range halted {
		k.stop()
	}
	for _, k := range halted {
		<-k.done
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, k := range halted {
		delete(e.keepers, k.id)
	}
}
