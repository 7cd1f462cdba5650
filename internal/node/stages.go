package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// newWatch returns the guard of a shift that begins. from is the release that
// serves, nil when there is none.
func newWatch(run string, s platform.Shift, to, from *slotState, counted proxy.EnvironmentStatus, at time.Time) *watchState {
	w := &watchState{
		Run: run, Slot: s.To, Generation: to.Generation, Limits: s.Watch, Began: at, Since: at, Until: at.Add(s.Watch.For),
		Drain: s.Drain, LongLived: s.LongLivedDrain, KeepOld: s.KeepOld,
		Verdict: ship.Verdict{Outcome: ship.Wait, Reason: "the watch has begun"},
		Base:    map[string]proxy.Counters{to.Generation: counted.Generations[to.Generation].Counters},
	}
	env := to.Spec.Environment
	c := analysis.Config{
		Limits: s.Watch, Began: at, New: name(to), NoWayBack: s.NoWayBack,
		Probes: len(safePaths(env)) > 0, Split: from != nil && len(s.Stages) > 0, Sticky: s.Sticky,
	}
	if from == nil {
		c.NoWayBack = "there is no old release to give it to"
	} else {
		before := counted.Generations[from.Generation].Counters
		w.Base[from.Generation] = before
		c.Old, c.Asks = name(from), c.Probes
		c.Before = analysis.Before{Requests: before.Requests, Errors: before.Errors, Latency: before.Latency.Buckets()}
	}
	w.Config = c
	return w
}

// name is what people call a release.
func name(s *slotState) string { return fmt.Sprintf("v%d", s.Spec.Release.Number) }

// enterStage sends the share of a stage to the slot that is guarded; after the
// last one it is the active slot.
func (e *envState) enterStage(n int, at time.Time) {
	w := e.Watch
	w.Stage, w.Since = n, at
	if w.staged() {
		e.Split = &splitState{To: w.Slot, Percent: w.Stages[n].Percent, Sticky: w.Sticky}
		return
	}
	e.take(w.Run, w.Slot, w.drains(), max(w.KeepOld, w.Limits.Longest()), at)
}

// endSplit sends all requests to the active slot again. The other one's end by
// themselves, and it stays as it is.
func (e *envState) endSplit(d drains, at time.Time) {
	from := e.slot(e.Split.To)
	e.Told = ship.Receipt{From: e.Split.To, To: e.Active, At: at}
	e.Old = nil
	if from != nil {
		e.Old = &oldState{Slot: e.Split.To, Generation: from.Generation, At: at, Drain: d.requests, LongLived: d.streams}
	}
	e.Split = nil
}

// nextStage goes on to the next stage when the one in force is over: its time
// is, or the release is proven healthy.
func (e *environment) nextStage(ctx context.Context, began time.Time) error {
	unlock, err := e.traffic.take(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	err = e.change(func(s *envState) error {
		w := s.Watch
		if !w.waits() || !w.Began.Equal(began) || !w.staged() || s.Split == nil {
			return errUnchanged
		}
		s.enterStage(w.Stage+1, failpoint.Now())
		return nil
	})
	if err != nil {
		if errors.Is(err, errUnchanged) {
			return nil
		}
		return err
	}
	e.poke()
	if err := e.n.proxies.apply(ctx); err != nil {
		return err
	}
	return e.switchWorkers()
}

// stageOver tells whether the stage in force is over.
func (w *watchState) stageOver(healthy bool, now time.Time) bool {
	return w.staged() && (healthy || !now.Before(w.Since.Add(w.Stages[w.Stage].For)))
}

// share is the part of the requests that the slot that is guarded gets; 0 is
// all of them.
func (e *envState) share() float64 {
	if e.Split == nil {
		return 0
	}
	return e.Split.Percent / 100
}
