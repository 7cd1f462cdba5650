package proxy

import (
	"crypto/tls"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/ship"
)

const (
	defaultHoldFor    = 30 * time.Second
	defaultHoldMax    = 1000
	defaultRetryAfter = 10 * time.Second
)

// A state is a compiled Table. It never changes; replaced is closed when
// another one took its place.
type state struct {
	revision  int64
	listeners map[string]*listener
	envs      map[ship.EnvironmentID]*environment
	replaced  chan struct{}
}

// A listener finds the environment of a host.
type listener struct {
	certificates []Certificate
	tls          *tls.Config // nil is plain HTTP
	hosts        map[string]*environment
	any          *environment
}

// An environment is a compiled Environment.
type environment struct {
	Environment
	active   *target // nil when no slot is active
	split    *split  // nil when every request goes to active
	kept     *target // may know assets that active does not
	previous *target // was active before, still in the table, may be draining
	queue    *queue
	clients  *analysis.Clients
	flow     *flow
	trusted  []netip.Prefix
	limiter  *limiter // nil limits nothing
}

func (env *environment) limits() limits { return limits{env.SlowerThan, env.ComparedWith} }

// A queue counts the held requests of an environment, over all tables.
type queue struct{ waiting, held, overflowed atomic.Int64 }

// find returns the environment that answers host on the named listener, or nil.
func (s *state) find(name, host string) *environment {
	l := s.listeners[name]
	if l == nil {
		return nil
	}
	if env := l.hosts[hostname(host)]; env != nil {
		return env
	}
	return l.any
}

// hostname returns host in lower case without port and final dot.
func hostname(host string) string {
	if strings.IndexByte(host, ':') >= 0 {
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// compile makes a state of t, taking over from old what goes on. It changes
// no generation that is in use; the caller holds p.mu.
func (p *Proxy) compile(t Table, old *state) (*state, error) {
	s := &state{
		revision:  t.Revision,
		listeners: map[string]*listener{},
		envs:      map[ship.EnvironmentID]*environment{},
		replaced:  make(chan struct{}),
	}
	for _, l := range t.Listeners {
		next := &listener{certificates: l.TLS, hosts: map[string]*environment{}}
		if before := old.listeners[l.Name]; before != nil && reflect.DeepEqual(before.certificates, l.TLS) {
			next.tls = before.tls // so that clients can resume their sessions
		} else if err := next.setTLS(l); err != nil {
			return nil, err
		}
		s.listeners[l.Name] = next
	}
	for _, e := range t.Environments {
		if err := check(e); err != nil {
			return nil, err
		}
		if s.envs[e.ID] != nil {
			return nil, ship.Errorf(ship.Invalid, "", "environment %s is twice in the table", e.ID)
		}
		env := p.compileEnvironment(e, old.envs[e.ID])
		s.envs[e.ID] = env
		if err := s.route(env); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// check refuses what could not be routed.
func check(e Environment) error {
	if _, ok := e.Slots[e.Active]; e.Active != "" && !ok {
		return ship.Errorf(ship.Invalid, "", "environment %s: the active slot %s has no backend", e.ID, e.Active)
	}
	seen := map[string]ship.Slot{}
	for slot, b := range e.Slots {
		if b.Generation == "" {
			return ship.Errorf(ship.Invalid, "", "environment %s: the backend of slot %s has no generation", e.ID, slot)
		}
		if other, twice := seen[b.Generation]; twice {
			return ship.Errorf(ship.Invalid, "", "environment %s: slots %s and %s have the same generation %s", e.ID, other, slot, b.Generation)
		}
		seen[b.Generation] = slot
		for _, a := range b.Addresses {
			if _, _, err := net.SplitHostPort(a); err != nil {
				return ship.Errorf(ship.Invalid, "", "environment %s, slot %s: address %q: %w", e.ID, slot, a, err)
			}
		}
	}
	for _, n := range e.Proxy.TrustedProxies {
		if _, err := netip.ParsePrefix(n); err != nil {
			return ship.Errorf(ship.Invalid, "", "environment %s: trusted proxy: %w", e.ID, err)
		}
	}
	if err := checkSplit(e); err != nil {
		return err
	}
	switch e.Mode {
	case "", ship.Serving, ship.Holding, ship.Maintenance:
		return nil
	}
	return ship.Errorf(ship.Invalid, "", "environment %s: unknown mode %q", e.ID, e.Mode)
}

func (p *Proxy) compileEnvironment(e Environment, old *environment) *environment {
	if e.Mode == "" {
		e.Mode = ship.Serving
	}
	if e.HoldFor <= 0 {
		e.HoldFor = defaultHoldFor
	}
	if e.HoldMax <= 0 {
		e.HoldMax = defaultHoldMax
	}
	if e.RetryAfter <= 0 {
		e.RetryAfter = defaultRetryAfter
	}
	env := &environment{
		Environment: e, queue: &queue{}, flow: &flow{}, clients: analysis.NewClients(), trusted: networks(e.Proxy.TrustedProxies),
	}
	byGeneration := map[string]*target{}
	for slot, b := range e.Slots {
		t := p.compileBackend(e, b)
		byGeneration[b.Generation] = t
		if slot == e.Active {
			env.active = t
		}
		if slot == e.Kept && slot != e.Active {
			env.kept = t
		}
		if e.Split != nil && e.Split.Percent > 0 && slot == e.Split.To {
			env.split = newSplit(*e.Split, t)
		}
	}
	if old == nil {
		env.limiter = newLimiter(e.Proxy.RateLimit, nil)
		return env
	}
	env.queue, env.flow, env.clients = old.queue, old.flow, old.clients
	env.limiter = newLimiter(e.Proxy.RateLimit, old.limiter)
	before := old.active
	if before != nil && env.active != nil && before.generation == env.active.generation {
		before = old.previous
	}
	if before != nil {
		env.previous = byGeneration[before.name]
	}
	return env
}

// compileBackend returns b as a target of a generation that exists or is new.
func (p *Proxy) compileBackend(e Environment, b Backend) *target {
	k := key{e.ID, b.Generation}
	g := p.generations[k]
	if g == nil {
		g = newGeneration(k, e.Proxy)
		p.generations[k] = g
	}
	t := &target{generation: g, release: b.Release, turn: &atomic.Uint32{}}
	for _, a := range b.Addresses {
		if g.addresses[a] == nil {
			g.addresses[a] = &address{hostport: a}
		}
		t.addrs = append(t.addrs, g.addresses[a])
	}
	return t
}

// route enters env at its listeners.
func (s *state) route(env *environment) error {
	for _, name := range env.Listen {
		l := s.listeners[name]
		if l == nil {
			return ship.Errorf(ship.Invalid, "", "environment %s: listener %s is not in the table", env.ID, name)
		}
		if len(env.Hosts) == 0 {
			if l.any != nil {
				return conflict(env, l.any, name, "every host")
			}
			l.any = env
		}
		for _, h := range env.Hosts {
			h = hostname(h)
			if other := l.hosts[h]; other != nil {
				return conflict(env, other, name, h)
			}
			l.hosts[h] = env
		}
	}
	return nil
}

func conflict(env, other *environment, listener, host string) error {
	return ship.Errorf(ship.Invalid, "give one of them another host or address to listen on",
		"environments %s and %s both want %s on %s", other.ID, env.ID, host, listener)
}
