package proxy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// lingerFor is how long a retiring proxy that has to be quick lets kept-alive
// connections live, so that busy clients leave with an answer that says
// "Connection: close" instead of sending a request into a connection that is
// being closed.
const lingerFor = 2 * time.Second

// A Grace is how long a proxy that retires lets its clients be, from the
// beginning.
type Grace struct {
	// Linger is for kept-alive connections without a request: who uses one
	// meanwhile gets an answer and is told to come by a new one.
	Linger time.Duration `json:"linger"`
	// Requests is for the requests under way.
	Requests time.Duration `json:"requests"`
	// Lasting is for WebSocket and event streams.
	Lasting time.Duration `json:"lasting"`
}

// quick is the grace of a proxy that goes with nobody to follow it.
func quick(grace time.Duration) Grace {
	return Grace{Linger: min(lingerFor, grace/2), Requests: grace, Lasting: grace}
}

// Retire stops accepting connections, finishes the requests under way within
// grace and closes what is left. The listening sockets stay open in whatever
// other process has them.
func (p *Proxy) Retire(ctx context.Context, grace time.Duration) error {
	return p.Leave(ctx, quick(grace))
}

// Leave is Retire with a grace for each kind of client.
func (p *Proxy) Leave(ctx context.Context, g Grace) error {
	f := &p.front
	began := time.Now()
	f.mu.Lock()
	f.retiring.Store(true)
	servers := append(slices.Collect(maps.Values(f.servers)), slices.Collect(maps.Keys(f.closing))...)
	f.mu.Unlock()
	f.ready()
	for _, s := range servers {
		_ = s.raw.Close() // a second Retire closes it again
	}
	ctx, cancel := context.WithDeadline(ctx, began.Add(max(g.Lasting, g.Requests)))
	defer cancel()
	await(ctx, g.Linger, func() bool { return f.conns.Load() == 0 })

	// Plain requests may take longer than theirs while there are streams to
	// wait for, which hurts nobody.
	watching, enough := context.WithCancel(ctx)
	var watch, wg sync.WaitGroup
	watch.Go(func() {
		await(watching, time.Until(began.Add(g.Requests)), func() bool { return false })
		await(watching, g.Lasting, func() bool { return p.lasting() == 0 })
		if watching.Err() == nil {
			cancel()
		}
	})
	watch.Go(func() { p.usherAll(watching, time.Until(began.Add(g.Lasting))) })
	for _, s := range servers {
		wg.Go(func() {
			if s.http.Shutdown(ctx) != nil {
				_ = s.http.Close()
			}
		})
	}
	wg.Wait()
	f.wg.Wait()
	await(ctx, g.Lasting, p.idle) // upgraded connections are no longer the servers'
	enough()
	watch.Wait()
	if left := p.cutAll(); left > 0 {
		await(context.WithoutCancel(ctx), cutFor, p.idle) // farewells are on their way
		return fmt.Errorf("retiring: %d requests were cut after %s", left, time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// usherAll asks the streams of every generation to end, evenly over a time. It
// returns when ctx ends.
func (p *Proxy) usherAll(ctx context.Context, within time.Duration) {
	ushers := map[*generation]*usher{}
	began := time.Now()
	await(ctx, within, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		now := time.Now()
		for _, g := range p.generations {
			if ushers[g] == nil {
				ushers[g] = newUsher(now, within-now.Sub(began))
			}
			ushers[g].step(now, g)
		}
		return false
	})
}

// lasting returns how many WebSockets and event streams are open.
func (p *Proxy) lasting() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var n int64
	for _, g := range p.generations {
		n += g.tally.lasting.Load()
	}
	return n
}

// idle tells whether no request is under way.
func (p *Proxy) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.generations {
		if g.busy() > 0 {
			return false
		}
	}
	return true
}

// cutAll closes every connection to an instance, and says how many requests
// were under way.
func (p *Proxy) cutAll() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var left int64
	for _, g := range p.generations {
		left += g.busy()
		g.cut()
		g.closeIdle()
	}
	return left
}

// Unlisten ends a listener: its socket is closed here, the requests that came
// by it go on, and its connections are closed as they become idle. A name that
// is not served is no error.
func (p *Proxy) Unlisten(name string, g Grace) {
	f := &p.front
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.servers[name]
	if s == nil {
		return
	}
	delete(f.servers, name)
	f.closing[s] = struct{}{}
	s.removed.Store(true)
	_ = s.raw.Close()
	f.wg.Go(func() {
		<-f.tableSet
		ctx, cancel := context.WithTimeout(context.Background(), max(g.Requests, g.Lasting))
		defer cancel()
		await(ctx, g.Linger, func() bool { return f.retiring.Load() })
		if s.http.Shutdown(ctx) != nil {
			_ = s.http.Close()
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.closing, s)
	})
}

// await returns when ready says so, ctx ends, or limit is over.
func await(ctx context.Context, limit time.Duration, ready func() bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
