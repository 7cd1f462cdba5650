package proxy

import (
	"log/slog"
	"net/http"
	"net/http/httputil"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// Config is what a Proxy is made from.
type Config struct{ Log *slog.Logger }

// A Proxy routes requests by its current table.
type Proxy struct {
	log     *slog.Logger
	started time.Time
	current atomic.Pointer[state]
	forward *httputil.ReverseProxy
	pace    pace
	buffers buffers
	front   front
	pages   pages

	mu          sync.Mutex // serialises changes; never taken by a request
	generations map[key]*generation
}

// New returns a Proxy with an empty table. It accepts connections only from
// its first table on.
func New(c Config) *Proxy {
	p := &Proxy{log: c.Log, pace: defaultPace(), started: time.Now(), generations: map[key]*generation{}}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.current.Store(&state{revision: -1, replaced: make(chan struct{})})
	p.pages = pages{pageTemplate(), pagePolicy()}
	p.front.init()
	p.forward = &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      upstream{},
		ModifyResponse: modifyResponse,
		ErrorHandler:   upstreamFailed,
		BufferPool:     &p.buffers,
		ErrorLog:       slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
	return p
}

// SetTable puts t in force. When it returns, every request is admitted by t,
// and a generation that is no longer active admits none. A table older than
// the one in force is refused with kind Fenced, one that cannot be routed with
// kind Invalid; nothing is changed then.
func (p *Proxy) SetTable(t Table) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.current.Load()
	if t.Revision < old.revision {
		return ship.Errorf(ship.Fenced, "", "table %d is older than table %d, which is in force", t.Revision, old.revision)
	}
	next, err := p.compile(t, old)
	if err != nil {
		p.prune(old)
		return err
	}
	// A door is opened before requests are sent to it and shut after they no
	// longer are: a request that finds one shut knows there is a newer state.
	p.openDoors(next)
	p.current.Store(next)
	p.shutDoors(next)
	close(old.replaced)
	p.prune(next)
	p.front.ready()
	p.log.Info("Table in force", "revision", t.Revision, "environments", len(t.Environments))
	return nil
}

func (p *Proxy) openDoors(next *state) {
	for _, env := range next.envs {
		if env.active == nil {
			continue
		}
		for _, t := range env.keepers() {
			t.assets.open()
		}
		env.active.probes.open()
		for _, t := range env.takers() {
			t.active, t.served, t.report = true, true, nil
			if env.Mode == ship.Serving {
				t.requests.open()
			}
		}
	}
}

func (p *Proxy) shutDoors(next *state) {
	for _, g := range p.generations {
		g.listed = false
		env := next.envs[g.env]
		if env != nil {
			g.listed = env.lists(g)
		}
		if env == nil || !slices.ContainsFunc(env.keepers(), func(t *target) bool { return t.generation == g }) {
			g.assets.seal()
		}
		if env != nil && env.takes(g) {
			if env.active.generation != g {
				g.probes.seal()
			}
			if env.Mode != ship.Serving {
				g.requests.shut.Store(true)
			}
			continue
		}
		p.retireGeneration(g, env)
	}
}

// retireGeneration ends g's being active, and seals it when it left the table.
func (p *Proxy) retireGeneration(g *generation, env *environment) {
	g.requests.shut.Store(true)
	g.probes.seal()
	if g.active {
		g.active = false
		g.swapped = time.Now()
		g.atSwap = g.baseline(env)
	}
	if !g.listed {
		g.requests.seal()
	}
}

// lists tells whether g is one of env's slots, and notes which.
func (env *environment) lists(g *generation) bool {
	for slot, b := range env.Slots {
		if b.Generation == g.name {
			g.slot = slot
			return true
		}
	}
	return false
}

// prune forgets generations that are in no table and have ended.
func (p *Proxy) prune(s *state) {
	for k, g := range p.generations {
		env := s.envs[g.env]
		if env != nil && env.lists(g) || g.busy()+g.assets.inside.Load() > 0 {
			continue
		}
		g.closeIdle()
		delete(p.generations, k)
	}
}

func (g *generation) busy() int64 { return g.requests.inside.Load() + g.probes.inside.Load() }

// Status reports what the proxy knows of the traffic.
func (p *Proxy) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.current.Load()
	p.prune(s)
	st := Status{
		Revision:     s.revision,
		PID:          os.Getpid(),
		Started:      p.started,
		Retiring:     p.front.retiring.Load(),
		Listeners:    p.front.names(),
		Environments: map[string]EnvironmentStatus{},
	}
	for id, env := range s.envs {
		es := EnvironmentStatus{
			Mode:        env.Mode,
			Active:      env.Active,
			Waiting:     env.queue.waiting.Load(),
			Held:        env.queue.held.Load(),
			Overflowed:  env.queue.overflowed.Load(),
			Limited:     env.limiter.sentAway(),
			Generations: map[string]GenerationStatus{},
		}
		if env.active != nil {
			es.Generation = env.active.name
		}
		if env.split != nil {
			es.Split = &env.split.Split
		}
		st.Environments[id.String()] = es
	}
	for _, g := range p.generations {
		es, ok := st.Environments[g.env.String()]
		if !ok { // its environment left the table and it is still busy
			es = EnvironmentStatus{Generations: map[string]GenerationStatus{}}
			st.Environments[g.env.String()] = es
		}
		es.Generations[g.name] = g.status()
	}
	return st
}

func (g *generation) status() GenerationStatus {
	gone := g.served && !g.active
	sealed := g.requests.sealed.Load()
	inside := g.requests.inside.Load()
	return GenerationStatus{
		Slot:     g.slot,
		InFlight: inside,
		Probes:   g.probes.inside.Load(),
		Lasting:  g.tally.lasting.Load(),
		Left:     g.left(),
		Draining: gone && (!sealed || inside > 0),
		Drained:  gone && sealed && g.busy() == 0,
		Counters: g.tally.read(),
	}
}

var _ http.RoundTripper = upstream{}
