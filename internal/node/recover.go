package node

import (
	"context"
	"errors"
	"io/fs"
	"sync"

	"github.com/shiplock/shiplock/internal/ship"
)

// recover takes back what the node before left running, starts again what
// should run and does not, and ends what should not run.
func (n *node) recover(ctx context.Context) error {
	found := marked(instanceMark)
	s := n.state.read()
	var errs []error
	wanted := map[string]bool{}
	for _, key := range sortedKeys(s.Environments) {
		e, err := n.environment(s.Environments[key].ID)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, e.recover(ctx, found))
		e.mu.Lock()
		for _, k := range e.keepers {
			wanted[k.mark] = true
		}
		e.mu.Unlock()
	}
	n.reap(found, wanted)
	if s.routes() {
		ctx, cancel := context.WithTimeout(ctx, recoverWithin)
		defer cancel()
		errs = append(errs, n.proxies.apply(ctx))
	}
	return errors.Join(errs...)
}

func (e *environment) recover(ctx context.Context, found map[string][]proc) error {
	s := e.now()
	var errs []error
	for _, slot := range []ship.Slot{ship.Blue, ship.Green} {
		in := s.slot(slot)
		if in == nil || !in.Started {
			continue
		}
		for _, id := range sortedKeys(in.Instances) {
			if in.Instances[id].Process == ship.Web {
				_, err := e.keep(slot, id, found)
				errs = append(errs, err)
			}
		}
	}
	unlock, err := e.traffic.take(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	errs = append(errs, e.switchWorkersFound(found))
	return errors.Join(errs...)
}

// keepHouse looks after what grows.
func (n *node) keepHouse(ctx context.Context) {
	for ctx.Err() == nil {
		for _, e := range n.all() {
			e.mu.Lock()
			logs := make([]*logFile, 0, len(e.logs))
			for _, l := range e.logs {
				logs = append(logs, l)
			}
			e.mu.Unlock()
			n.limit(logs...)
		}
		n.limit(&n.proxies.output, &n.output)
		n.pruneWhatIsOld()
		n.proxies.statuses(ctx) // so that little is lost of what a worker counted when it is killed
		pause(ctx, housekeeping)
	}
}

// limit keeps logs within their bound.
func (n *node) limit(logs ...*logFile) {
	for _, l := range logs {
		if l.path == "" {
			continue
		}
		if err := l.limit(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			n.Log.Warn("a log was not kept within its bound", "error", err)
		}
	}
}

// stopAll ends everything the node runs: first traffic, then the instances.
func (n *node) stopAll(ctx context.Context) {
	n.proxies.retire(ctx)
	var halting sync.WaitGroup
	for _, e := range n.all() {
		halting.Go(func() { e.halt(func(*keeper) bool { return true }) })
	}
	halting.Wait()
}
