package node

import (
	"cmp"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// holdMargin is what a single request may wait longer than the hold is bound
// for, so that it is let go by the end of the hold and not sent away by its own.
const holdMargin = 2 * time.Second

// stickyCookie keeps a client with the release it met in a stage.
const stickyCookie = "shiplock-release"

// tableOf is the state as the proxy has to know it. Certificates are asked of
// certify.
func tableOf(s *state, certify func(ship.Environment) (proxy.Certificate, error)) (proxy.Table, error) {
	t := proxy.Table{Revision: s.Revision}
	listeners := map[string]*proxy.Listener{}
	for _, key := range sortedKeys(s.Environments) {
		e := s.Environments[key]
		routed := e.routed()
		if routed == nil {
			continue
		}
		env := routed.Spec.Environment
		t.Environments = append(t.Environments, e.entry(env))
		for _, name := range env.Route.Listen {
			if listeners[name] == nil {
				listeners[name] = &proxy.Listener{Name: name}
			}
			if env.Route.TLS == nil {
				continue
			}
			c, err := certify(env)
			if err != nil {
				return t, err
			}
			listeners[name].TLS = append(listeners[name].TLS, c)
		}
	}
	for _, name := range sortedKeys(listeners) {
		t.Listeners = append(t.Listeners, *listeners[name])
	}
	return t, nil
}

// routed is the slot whose settings say which requests are the environment's:
// the active one, or the first that was ever started. Requests are held, and the
// page is shown, also while everything is stopped, as for a restore.
func (e *envState) routed() *slotState {
	if s := e.slot(e.Active); s != nil && s.Started {
		return s
	}
	closed := e.Mode.Mode != ship.Serving
	var stopped *slotState
	for _, slot := range []ship.Slot{ship.Blue, ship.Green} {
		s := e.Slots[slot]
		if s != nil && s.Started {
			return s
		}
		if s != nil && s.Stopped && closed {
			stopped = s
		}
	}
	return stopped
}

// routes tells whether any request is anybody's.
func (s *state) routes() bool {
	for _, e := range s.Environments {
		if e.routed() != nil {
			return true
		}
	}
	return false
}

func (e *envState) entry(env ship.Environment) proxy.Environment {
	p := proxy.Environment{
		ID: e.ID, Listen: env.Route.Listen, Hosts: env.Route.Hosts,
		Active: e.Active, Slots: map[ship.Slot]proxy.Backend{},
		Mode: e.Mode.Mode, Text: cmp.Or(e.Mode.Text, env.Proxy.Maintenance),
		HoldMax: env.Proxy.HoldMax, Kept: e.kept(),
		HealthPath: env.Health.Path, SlowerThan: env.Watch.P95, Proxy: env.Proxy,
	}
	switch e.Mode.Mode {
	case ship.Holding:
		p.HoldFor = e.Mode.For + holdMargin
	case ship.Maintenance:
		p.RetryAfter = e.Mode.For
	case ship.Serving: // nothing waits
	}
	for slot, s := range e.Slots {
		if s.Started {
			p.Slots[slot] = proxy.Backend{Generation: s.Generation, Addresses: s.addresses(), Release: strconv.Itoa(s.Spec.Release.Number)}
		}
	}
	if w := e.Watch; w.waits() {
		b := w.Config.Bounds()
		p.SlowerThan, p.ComparedWith = b.P95, b.Tau
	}
	if sp := e.Split; sp != nil {
		p.Split = &proxy.Split{To: sp.To, Percent: sp.Percent}
		if sp.Sticky {
			p.Split.Cookie = stickyCookie
		}
	}
	if _, ok := p.Slots[p.Active]; !ok {
		p.Active, p.Split = "", nil
	}
	if sp := p.Split; sp != nil && p.Slots[sp.To].Generation == "" {
		p.Split = nil
	}
	return p
}

// kept is the slot that was active before, while it runs.
func (e *envState) kept() ship.Slot {
	if e.Old == nil {
		return ""
	}
	if s := e.slot(e.Old.Slot); s == nil || !s.Started || s.Generation != e.Old.Generation {
		return ""
	}
	return e.Old.Slot
}

// addresses are those of the web instances. One that is being restarted stays
// in: the proxy goes to another when it cannot connect.
func (s *slotState) addresses() []string {
	var all []string
	for _, id := range sortedKeys(s.Instances) {
		if i := s.Instances[id]; i.Port != 0 {
			all = append(all, address(i.Port))
		}
	}
	return all
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func certificate(env ship.Environment) (proxy.Certificate, error) {
	cert, err := os.ReadFile(env.Route.TLS.Cert)
	if err != nil {
		return proxy.Certificate{}, ship.Errorf(ship.Invalid, "", "certificate of %s: %w", env.ID, err)
	}
	key, err := os.ReadFile(env.Route.TLS.Key)
	if err != nil {
		return proxy.Certificate{}, ship.Errorf(ship.Invalid, "", "key of %s: %w", env.ID, err)
	}
	return proxy.Certificate{Hosts: env.Route.Hosts, CertPEM: cert, KeyPEM: key}, nil
}

// ports returns n free ports of the loopback interface, outside the range the
// kernel takes the ports of outgoing connections from, so that an instance
// that is restarted finds its port free.
func ports(n int, taken map[int]bool, from int) ([]int, error) {
	const low, high = 20000, 32000
	var found []int
	for i := range high - low {
		port := low + (from+i)%(high-low)
		if taken[port] || !free(port) {
			continue
		}
		found = append(found, port)
		if len(found) == n {
			return found, nil
		}
	}
	return nil, ship.Errorf(ship.Failed, "", "no free port on the loopback interface for %d instances", n)
}

func free(port int) bool {
	for _, host := range []string{"127.0.0.1", ""} {
		l, err := net.Listen("tcp4", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}

// taken are the ports of all instances of all environments.
func (s *state) taken() map[int]bool {
	all := map[int]bool{}
	for _, e := range s.Environments {
		for _, slot := range e.Slots {
			for _, i := range slot.Instances {
				all[i.Port] = true
			}
		}
	}
	return all
}

// conflict names an environment that answers the same requests, or returns nil.
func (s *state) conflict(env ship.Environment) error {
	for _, key := range sortedKeys(s.Environments) {
		e := s.Environments[key]
		routed := e.routed()
		if e.ID == env.ID || routed == nil {
			continue
		}
		other := routed.Spec.Environment.Route
		for _, l := range env.Route.Listen {
			if !slices.Contains(other.Listen, l) {
				continue
			}
			if len(env.Route.Hosts) == 0 && len(other.Hosts) == 0 {
				return ship.Errorf(ship.Invalid, "give one of them a host", "%s already answers every host on %s", e.ID, l)
			}
			for _, h := range env.Route.Hosts {
				if slices.Contains(other.Hosts, h) {
					return ship.Errorf(ship.Invalid, "give one of them another host", "%s already answers %s on %s", e.ID, h, l)
				}
			}
		}
	}
	return nil
}
