package node

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// wanted are the addresses that a release listens at which runs or is about
// to. That of an old slot is among them, because traffic may be given back to
// it, and so are those at which a page is shown or requests wait although
// everything is stopped.
func (p *proxies) wanted() map[string]bool {
	all := map[string]bool{}
	for _, e := range p.state.read().Environments {
		routed := e.routed()
		for _, s := range e.Slots {
			if !s.Started && s != routed {
				continue
			}
			for _, name := range s.Spec.Environment.Route.Listen {
				all[name] = true
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range p.reserved {
		all[name] = true
	}
	return all
}

// keepOnly closes our copies of sockets that nobody wants, before a new worker
// gets them, and returns the others.
func (p *proxies) keepOnly(wanted map[string]bool) map[string]*os.File {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, f := range p.open {
		if !wanted[name] {
			_ = f.Close()
			delete(p.open, name)
		}
	}
	return maps.Clone(p.open)
}

// listen opens a socket unless it is open.
func (p *proxies) listen(ctx context.Context, name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[name] != nil {
		return nil
	}
	f, err := listen(ctx, name)
	if err != nil {
		return ship.Errorf(ship.Failed, "stop what has the port, or change listen in shiplock.yaml", "listen on %s: %w", name, err)
	}
	p.open[name] = f
	return nil
}

// reserve sees to it that an environment's requests can arrive, before
// anything of it is started.
func (p *proxies) reserve(ctx context.Context, env ship.Environment) error {
	if env.Route.TLS != nil {
		if _, err := certificate(env); err != nil {
			return err
		}
	}
	for _, name := range env.Route.Listen {
		if err := p.listen(ctx, name); err != nil {
			return err
		}
		p.mu.Lock()
		p.reserved[name]++
		p.mu.Unlock()
	}
	return nil
}

// unreserve takes a reservation back. What is not listened at by then is
// closed with the next change.
func (p *proxies) unreserve(env ship.Environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range env.Route.Listen {
		if p.reserved[name]--; p.reserved[name] <= 0 {
			delete(p.reserved, name)
		}
	}
}

// openAll opens the table's sockets and names those that cannot be.
func (p *proxies) openAll(ctx context.Context, t proxy.Table) (lost []string) {
	for _, l := range t.Listeners {
		if err := p.listen(ctx, l.Name); err != nil {
			p.log.Error("requests cannot arrive", "listener", l.Name, "error", err)
			lost = append(lost, l.Name)
		}
	}
	return lost
}

// hand gives the worker the sockets it does not have yet.
func (p *proxies) hand(ctx context.Context, w *proxy.Control) error {
	p.mu.Lock()
	fresh := map[string]*os.File{}
	for name, f := range p.open {
		if !p.given[name] {
			fresh[name] = f
		}
	}
	p.mu.Unlock()
	if len(fresh) == 0 {
		return nil
	}
	if err := w.AddListeners(ctx, fresh); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.worker == w {
		for name := range fresh {
			p.given[name] = true
		}
	}
	return nil
}

// without returns the table without listeners that are not open.
func without(t proxy.Table, lost []string) proxy.Table {
	if len(lost) == 0 {
		return t
	}
	isLost := func(name string) bool { return slices.Contains(lost, name) }
	t.Listeners = slices.DeleteFunc(slices.Clone(t.Listeners), func(l proxy.Listener) bool { return isLost(l.Name) })
	t.Environments = slices.Clone(t.Environments)
	for i := range t.Environments {
		t.Environments[i].Listen = slices.DeleteFunc(slices.Clone(t.Environments[i].Listen), isLost)
	}
	return t
}

// surrender gives up our copies of the sockets.
func (p *proxies) surrender() map[string]*os.File {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.open
	p.open = map[string]*os.File{}
	return all
}

// takeAway ends the listeners that nobody wants any more. Their
// ports are free afterwards.
func (p *proxies) takeAway(ctx context.Context, w *proxy.Control) error {
	wanted := p.wanted()
	p.mu.Lock()
	var names []string
	for name := range p.given {
		if !wanted[name] {
			names = append(names, name)
		}
	}
	p.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	if err := w.RemoveListeners(ctx, names, grace(p.state.read())); err != nil {
		return fmt.Errorf("end listeners: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range names {
		if f := p.open[name]; f != nil {
			_ = f.Close()
		}
		delete(p.open, name)
		delete(p.given, name)
	}
	p.log.Info("requests no longer arrive at these addresses", "listeners", names)
	return nil
}

// certificate reads an environment's certificate. While it cannot be read, as
// in the middle of its renewal, the one before is used.
func (p *proxies) certificate(env ship.Environment) (proxy.Certificate, error) {
	c, err := certificate(env)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.certs[env.ID] = c
		return c, nil
	}
	if old, ok := p.certs[env.ID]; ok {
		p.log.Warn("a certificate cannot be read, the one before is used", "environment", env.ID.String(), "error", err)
		return old, nil
	}
	return c, err
}

func listen(ctx context.Context, name string) (*os.File, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", name)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return proxy.ListenerFile(l)
}
