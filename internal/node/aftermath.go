package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// afterFor is how long the old release is looked at once it has traffic again.
const afterFor = 30 * time.Second

// aftermath goes on measuring after traffic was given back: errors that go on
// at the old release were not the new one's.
func (g *guard) aftermath(ctx context.Context) {
	s := g.e.now()
	old := s.slot(g.w.Back)
	if !s.Watch.Shifted || !s.Watch.Began.Equal(g.w.Began) || old == nil {
		return
	}
	at := failpoint.Now()
	base := map[string]proxy.Counters{}
	base[old.Generation] = g.seen.since(nil, old.Generation)
	limits := g.w.Limits
	limits.For, limits.Min, limits.Warmup, limits.OnInconclusive = afterFor, afterFor, time.Second, ship.PromoteAnyway
	judge := analysis.New(analysis.Config{Limits: limits, Began: at, New: name(old), NoWayBack: "it is the previous release"})
	var news int64
	for ctx.Err() == nil {
		t := g.e.n.proxies.look(ctx, proxy.Query{Environment: g.e.id, Generation: old.Generation, Seen: news, Within: lookEvery})
		news = t.News
		now := g.e.now()
		if ctx.Err() != nil || now.Watch == nil || !now.Watch.Began.Equal(g.w.Began) || now.Active != g.w.Back {
			return
		}
		g.mu.Lock()
		g.seen.add(t, g.e.id)
		c := g.seen.since(base, old.Generation)
		g.mu.Unlock()
		j := judge.Observe(analysis.Sample{At: failpoint.Now(), New: counts(c), Crowd: t.Crowd})
		if j.Ended() {
			g.report(j, c, name(old))
			return
		}
		pause(ctx, outOf)
	}
}

// report records how the old release did.
func (g *guard) report(j analysis.Judgement, c proxy.Counters, old string) {
	text := fmt.Sprintf("since then %d of %d requests failed on %s", c.Errors, c.Requests, old)
	if j.Action == analysis.Hold {
		text = fmt.Sprintf("errors continued on the previous release (%d of %d requests on %s): the cause is probably shared", c.Errors, c.Requests, old)
		if j.Test != "" && c.Errors == 0 {
			text = fmt.Sprintf("slow answers continued on the previous release (%d of %d requests on %s): the cause is probably shared", c.Slow, c.Timed, old)
		}
	}
	g.mu.Lock()
	g.seen.After = text
	g.mu.Unlock()
	g.save()
	err := g.e.change(func(s *envState) error {
		if s.Watch == nil || !s.Watch.Began.Equal(g.w.Began) {
			return errUnchanged
		}
		s.Watch.After = text
		return nil
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		g.e.complain("how the old release does was not recorded", err)
	}
}
