package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// At most two generations of proxy workers are alive as a rule: the one that
// serves, and those before it, which were relieved and whose last requests
// end. All of them route by the same table, and what they count is added up.

const (
	// askWithin bounds what one worker is waited for.
	askWithin = 5 * time.Second
)

// grace is what a worker that was relieved lets its clients have: the longest
// that any environment promises.
func grace(s *state) proxy.Grace {
	var g proxy.Grace
	for _, e := range s.Environments {
		if routed := e.routed(); routed != nil {
			g.Requests = max(g.Requests, routed.Spec.Environment.Drain)
			g.Lasting = max(g.Lasting, routed.Spec.Environment.LongLivedDrain)
			g.Lasting = max(g.Lasting, routed.Spec.Environment.LongLivedDrain)
		}
	}
	if g.Requests <= 0 {
		g.Requests = defaultDrain
	}
	g.Lasting = max(g.Lasting, g.Requests)
	// Nobody is in a hurry: a connection that is used once more is told to go
	// instead of being closed under a request.
	g.Linger = g.Requests
	return g
}

// defaultDrain is the grace of requests that no environment has named.
const defaultDrain = 30 * time.Second

// adopt takes back the workers of a node that was killed, with their sockets.
// The newest that serves goes on, unless it is the one that was on trial; any
// other one leaves.
func (p *proxies) adopt(ctx context.Context, trial int) error {
	workers, err := proxy.Find(ctx, p.dir)
	if len(workers) == 0 && err != nil {
		return fmt.Errorf("find proxy workers: %w", err)
	}
	if err != nil {
		p.log.Warn("a proxy worker does not answer", "error", err)
	}
	statuses := map[*proxy.Control]proxy.Status{}
	for _, w := range workers {
		if s, err := w.Status(ctx); err == nil {
			statuses[w] = s
		}
	}
	rank := func(w *proxy.Control) int {
		s := statuses[w]
		switch {
		case s.Retiring:
			return 3
		case s.Revision < 0:
			return 2 // it was started a moment ago and never served
		case s.PID == trial:
			return 1
		}
		return 0
	}
	workers = slices.DeleteFunc(workers, func(w *proxy.Control) bool { return statuses[w].PID == 0 })
	slices.SortStableFunc(workers, func(a, b *proxy.Control) int { return cmp.Compare(rank(a), rank(b)) })
	for _, w := range workers {
		p.state.raise(statuses[w].Revision)
		if !statuses[w].Retiring && p.pid() == 0 && p.takeOver(ctx, w) {
			continue
		}
		p.mu.Lock()
		p.leaving = append(p.leaving, w)
		p.mu.Unlock()
	}
	return nil
}

// takeOver makes a worker that was found the worker.
func (p *proxies) takeOver(ctx context.Context, w *proxy.Control) bool {
	files, err := w.Listeners(ctx)
	if err != nil {
		p.log.Warn("a proxy worker does not give its listeners", "pid", w.PID(), "error", err)
		return false
	}
	p.mu.Lock()
	for name, f := range files {
		if p.open[name] != nil { // it came with us
			_ = f.Close()
			continue
		}
		p.open[name] = f
	}
	p.mu.Unlock()
	p.use(w, files)
	p.log.Info("took back the proxy worker", "pid", w.PID(), "listeners", slices.Sorted(maps.Keys(files)))
	return true
}

// leavers returns the workers that were relieved and live.
func (p *proxies) leavers() []*proxy.Control {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.leaving)
}

// dismiss has a worker leave and returns when it has begun to.
func (p *proxies) dismiss(ctx context.Context, w *proxy.Control) error {
	p.mu.Lock()
	p.leaving = append(p.leaving, w)
	p.mu.Unlock()
	p.dismissed(w)
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	for {
		s, err := w.Status(ctx)
		if err != nil || s.Retiring {
			return ctx.Err() // one that does not answer any more is gone
		}
		pause(ctx, 5*time.Millisecond)
	}
}

// farewell tells a worker to leave and waits for its end. When ctx ends it
// leaves all the same, and the next node waits.
func (p *proxies) farewell(ctx context.Context, w *proxy.Control) {
	for {
		last, err := w.Leave(ctx, grace(p.state.read()))
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			p.log.Error("a proxy worker that was relieved does not leave", "pid", w.PID(), "error", err)
			pause(ctx, time.Second)
			continue
		}
		if last != nil {
			p.traffic.add(*last)
		}
		p.traffic.end(w.PID())
		p.mu.Lock()
		p.leaving = slices.DeleteFunc(p.leaving, func(other *proxy.Control) bool { return other == w })
		p.mu.Unlock()
		p.log.Info("a proxy worker that was relieved has ended", "pid", w.PID())
		return
	}
}

// tellLeaving gives the table to the workers that leave: on connections they
// have, requests may still come to them.
func (p *proxies) tellLeaving(ctx context.Context, t proxy.Table) error {
	var errs []error
	for _, w := range p.leavers() {
		asking, cancel := context.WithTimeout(ctx, askWithin)
		if err := w.SetTable(asking, t); err != nil && !p.gone(asking, w) {
			errs = append(errs, fmt.Errorf("proxy worker %d, which leaves: %w", w.PID(), err))
		}
		cancel()
	}
	return errors.Join(errs...)
}

// gone tells whether a worker has ended, as far as can be seen.
func (p *proxies) gone(ctx context.Context, w *proxy.Control) bool {
	_, err := w.Status(ctx)
	return err != nil && ctx.Err() == nil
}

// drain is [proxy.Proxy.Drain] at every worker.
func (p *proxies) drain(ctx context.Context, id ship.EnvironmentID, generation string, grace proxy.Grace) (proxy.DrainReport, error) {
	w, err := p.current(ctx)
	if err != nil {
		return proxy.DrainReport{}, err
	}
	all := append([]*proxy.Control{w}, p.leavers()...)
	reports, errs := make([]proxy.DrainReport, len(all)), make([]error, len(all))
	var wg sync.WaitGroup
	for i, w := range all {
		wg.Go(func() {
			reports[i], errs[i] = w.Drain(ctx, id, generation, grace)
			if i > 0 && errs[i] != nil && p.gone(ctx, w) {
				errs[i] = nil // its requests ended with it
			}
		})
	}
	wg.Wait()
	var sum proxy.DrainReport
	for _, r := range reports {
		sum = sum.Plus(r)
	}
	return sum, errors.Join(errs...)
}

// endStreams is [proxy.Proxy.EndStreams] at every worker.
func (p *proxies) endStreams(ctx context.Context, id ship.EnvironmentID, generation string, within time.Duration) error {
	w, err := p.current(ctx)
	if err != nil {
		return err
	}
	all := append([]*proxy.Control{w}, p.leavers()...)
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, w := range all {
		wg.Go(func() {
			if err := w.EndStreams(ctx, id, generation, within); err != nil && !p.gone(ctx, w) {
				errs[i] = err
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// statuses asks every worker for its counters, the one that serves first.
func (p *proxies) statuses(ctx context.Context) []proxy.Status {
	p.mu.Lock()
	all := slices.Clone(p.leaving)
	if p.worker != nil {
		all = append([]*proxy.Control{p.worker}, all...)
	}
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var answers []proxy.Status
	for _, w := range all {
		if s, err := w.Status(ctx); err == nil {
			p.traffic.add(s)
			answers = append(answers, s)
		}
	}
	return answers
}

// status is what all workers have counted. Without a worker it is empty.
func (p *proxies) status(ctx context.Context) proxy.Status {
	var sum proxy.Status
	for i, s := range p.statuses(ctx) {
		if i == 0 {
			sum = s
			continue
		}
		sum = sum.Plus(s)
	}
	return sum
}

// look returns the traffic of an environment as the worker that serves knows
// it, with what those it relieved have counted. Without a worker it is empty.
func (p *proxies) look(ctx context.Context, q proxy.Query) proxy.Traffic {
	p.mu.Lock()
	w := p.worker
	p.mu.Unlock()
	if w == nil {
		return proxy.Traffic{}
	}
	ctx, cancel := context.WithTimeout(ctx, q.Within+askWithin)
	defer cancel()
	t, err := w.Traffic(ctx, q)
	if err != nil {
		return proxy.Traffic{}
	}
	for _, old := range p.leavers() {
		if s, err := old.Status(ctx); err == nil {
			t.Others = append(t.Others, s)
		}
	}
	return t
}

// retire ends every worker, letting requests under way end for a moment.
func (p *proxies) retire(ctx context.Context) {
	p.mu.Lock()
	all := slices.Clone(p.leaving)
	if p.worker != nil {
		all = append(all, p.worker)
	}
	p.mu.Unlock()
	var wg sync.WaitGroup
	for _, w := range all {
		wg.Go(func() {
			if err := w.Retire(ctx, 5*time.Second); err != nil {
				p.log.Warn("a proxy worker does not retire", "pid", w.PID(), "error", err)
			}
		})
	}
	wg.Wait()
}
