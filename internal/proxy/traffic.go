package proxy

import (
	"context"
	"time"
)

// longestWait bounds how long an answer waits for news.
const longestWait = time.Minute

// Traffic reports what is known of the traffic of an environment. When q says
// what was seen, it first waits until there is more.
func (p *Proxy) Traffic(ctx context.Context, q Query) Traffic {
	p.mu.Lock()
	g := p.generations[key{q.Environment, q.Generation}]
	p.mu.Unlock()
	if g != nil && q.Within > 0 {
		g.tally.news.wait(ctx, q.Seen, min(q.Within, longestWait))
	}
	// News are read before the counters: what comes in between is news again.
	t := Traffic{Seconds: map[string][]Second{}}
	if g != nil {
		t.News, t.Failures = g.tally.news.count.Load(), g.tally.failures.read()
	}
	s := p.Status()
	t.PID, t.Started, t.Environment = s.PID, s.Started, s.Environments[q.Environment.String()]
	if env := p.current.Load().envs[q.Environment]; env != nil {
		t.Crowd = env.clients.Crowd(time.Now())
	}
	if q.Seconds <= 0 {
		return t
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range t.Environment.Generations {
		if g := p.generations[key{q.Environment, name}]; g != nil {
			t.Seconds[name] = g.tally.seconds.read(q.Seconds)
		}
	}
	return t
}
