package node

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/health"
	"github.com/shiplock/shiplock/internal/ship"
)

const (
	defaultEvery = time.Second            // between two health checks
	idleEvery    = 500 * time.Millisecond // the same, while there is hardly any traffic
	idleRate     = 2                      // requests a second below which that is so
	maxSafe      = 10                     // paths that are asked

	askTimes    = 5 // so often the old release is asked whether going back would help
	probeWithin = 1500 * time.Millisecond
)

// A prober asks the instances of a slot, beside the guard, so that one that
// hangs does not keep the guard from looking at the rest. It goes to the
// instances directly and never through the proxy, so that nothing it does is
// taken for the traffic of a user, and nobody can pass for it.
type prober struct {
	e    *environment
	slot ship.Slot // that is watched
	back ship.Slot // that is asked whether it is well, "" is none
	idle atomic.Bool

	mu    sync.Mutex
	seen  analysis.Probes
	asked analysis.Probes // of back
	safe  []string        // paths that are asked besides the health path
	well  time.Time       // the last round that was good, or the first round
	turn  int
	rate  []rateAt
}

type rateAt struct {
	at       time.Time
	requests int64
}

// safePaths are the paths of an environment that may be asked at any time,
// with GET: those that were declared for it.
func safePaths(env ship.Environment) []string {
	var all []string
	for _, p := range slices.Concat([]string{env.Health.Path}, env.Smoke, env.Warmup) {
		if p != "" && !slices.Contains(all, p) && len(all) < maxSafe {
			all = append(all, p)
		}
	}
	return all
}

// resume goes on where the prober of another node ended.
func (p *prober) resume(w witness) {
	p.seen, p.asked, p.safe = w.Probes, w.Back, w.Good
	p.idle.Store(true)
}

// read returns what was found, and for how long no round was good.
func (p *prober) read(now time.Time) (seen, asked analysis.Probes, unready time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen.Failing > 0 && !p.well.IsZero() {
		unready = now.Sub(p.well)
	}
	return p.seen, p.asked, unready
}

func (p *prober) good() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.safe
}

// measure notes how many requests there were by now, and decides whether there
// is so little traffic that it takes probes to find a release dead.
func (p *prober) measure(now time.Time, requests int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = append(p.rate, rateAt{now, requests})
	for len(p.rate) > 2 && now.Sub(p.rate[1].at) >= 3*time.Second {
		p.rate = p.rate[1:]
	}
	first := p.rate[0]
	if took := now.Sub(first.at); took >= time.Second {
		p.idle.Store(float64(requests-first.requests)/took.Seconds() < idleRate)
	}
}

func (p *prober) run(ctx context.Context) {
	if p.safe == nil {
		p.choose(ctx)
	}
	for ctx.Err() == nil {
		s := p.e.now().slot(p.slot)
		if s == nil {
			return
		}
		path, every := p.next(s.Spec.Environment)
		if path == "" {
			return // nobody said what a good answer is
		}
		p.round(ctx, s, path)
		pause(ctx, every)
	}
}

// choose finds out which of the declared paths the old release answers well:
// only those say something of the new one.
func (p *prober) choose(ctx context.Context) {
	good := []string{}
	s := p.e.now()
	if slot, old := s.slot(p.slot), s.slot(p.back); slot != nil && old != nil && old.Started {
		for _, path := range safePaths(slot.Spec.Environment) {
			if a := old.addresses(); len(a) > 0 && well(health.Probe(ctx, target(old, a[0], path, probeWithin)), 0) {
				good = append(good, path)
			}
		}
	}
	if ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.safe = good
}

// next returns what is asked next, and how long after it to wait.
func (p *prober) next(env ship.Environment) (path string, every time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	every = env.Health.Every
	if every <= 0 {
		every = defaultEvery
	}
	if !p.idle.Load() || len(p.safe) == 0 {
		return env.Health.Path, every
	}
	p.turn++
	return p.safe[p.turn%len(p.safe)], min(every, idleEvery)
}

func target(s *slotState, address, path string, timeout time.Duration) health.Target {
	h := s.Spec.Environment.Health
	if h.Host == "" && len(s.Spec.Environment.Route.Hosts) > 0 {
		h.Host = s.Spec.Environment.Route.Hosts[0]
	}
	if timeout == 0 {
		timeout = h.Timeout
	}
	return health.Target{Address: address, Path: path, Host: h.Host, Timeout: timeout}
}

// well tells whether an answer is good: a redirection is one, and one that
// takes longer than the limit is none. A limit of 0 is none.
func well(r health.Result, limit time.Duration) bool {
	return (r.OK || r.Status >= 300 && r.Status <= 399) && (limit <= 0 || r.Latency <= limit)
}

// round asks every instance once. It is as good as its worst answer, and
// counts as one.
func (p *prober) round(ctx context.Context, s *slotState, path string) {
	addresses := s.addresses()
	results := make([]health.Result, len(addresses))
	var wg sync.WaitGroup
	for i, a := range addresses {
		wg.Go(func() { results[i] = health.Probe(ctx, target(s, a, path, 0)) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return // an answer that nobody waited for says nothing
	}
	strict := path == s.Spec.Environment.Health.Path
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.well.IsZero() {
		p.well = now
	}
	p.seen.Sent++
	for _, r := range results {
		if !r.OK && (strict || !well(r, 0)) {
			p.seen.Failing++
			p.seen.Last = r.Explain
			p.e.raise() // it may be the one too many
			return
		}
	}
	p.seen.Healthy++
	p.seen.Failing, p.well = 0, now
}

// ask asks the old release whether it is well, five times at once: by the
// paths that users saw failing, where those are among the declared ones. It
// tells whether going back would help, as far as can be told.
func (p *prober) ask(ctx context.Context, failing map[string]bool) bool {
	s := p.e.now().slot(p.back)
	if s == nil || !s.Started || len(s.addresses()) == 0 {
		return true
	}
	paths := p.good()
	if seen := slices.DeleteFunc(slices.Clone(paths), func(path string) bool {
		path, _, _ = strings.Cut(path, "?")
		return !failing[path]
	}); len(seen) > 0 {
		paths = seen
	}
	if len(paths) == 0 {
		paths = safePaths(s.Spec.Environment) // it answered none of them well before
	}
	if len(paths) == 0 {
		return true
	}
	results := make([]health.Result, askTimes)
	addresses := s.addresses()
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			results[i] = health.Probe(ctx, target(s, addresses[i%len(addresses)], paths[i%len(paths)], probeWithin))
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return true
	}
	limit := s.Spec.Environment.Watch.P95
	good := 0
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range results {
		p.asked.Sent++
		if well(r, limit) {
			good++
			p.asked.Healthy++
			p.asked.Failing = 0
			continue
		}
		p.asked.Failing++
		p.asked.Last = r.Explain
	}
	return 2*good >= askTimes
}
