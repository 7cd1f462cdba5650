package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

const (
	lookEvery = time.Second // when nothing happens
	// breath is the pause after each look, so that a release that only fails
	// does not have the guard look at nothing else.
	breath   = 5 * time.Millisecond
	outOf    = 50 * time.Millisecond // the same, when it has looked often in a row
	inARow   = 50
	retryAct = 250 * time.Millisecond
	// compareAfter is less than what the evaluator takes for a dead release.
	compareAfter = 3 * time.Second
)

// A guard watches the slot that has just become active, or that gets a share
// of the requests, and gives traffic back when the evidence says so. It needs
// nobody but the node. What it has seen is in a file, so that the next node
// goes on where this one ended.
type guard struct {
	e      *environment
	w      watchState // as it was when the guard began
	probes *prober

	mu    sync.Mutex // for those who look on
	seen  witness
	judge *analysis.Evaluator
	last  analysis.Judgement

	news  int64     // seen of the worker
	asked bool      // the old release was asked: what it answered is news, too
	saved time.Time // when the evidence was written last

	alike    bool // the old release is as ill as the new one, as of compared
	compared time.Time
}

func newGuard(e *environment, w watchState) *guard {
	g := &guard{e: e, w: w, probes: &prober{e: e, slot: w.Slot, back: w.Back}}
	seen, err := e.readWitness()
	if err != nil {
		e.complain("the evidence of a watch could not be read, it begins again", err)
	}
	if err != nil || seen.Evaluator == nil || seen.Run != w.Run || !seen.Began.Equal(w.Began) {
		seen = witness{Run: w.Run, Began: w.Began, Evaluator: analysis.New(w.Config), Counted: counting{}}
	}
	g.seen, g.judge = seen, seen.Evaluator
	g.probes.resume(seen)
	return g
}

// guard carries out a watch. It returns when there is a verdict, somebody else
// ended the watch, or ctx ends.
func (e *environment) guard(ctx context.Context, w watchState) {
	ctx, cancel := context.WithCancel(ctx)
	g := newGuard(e, w)
	e.guarding.Store(g)
	var wg sync.WaitGroup
	wg.Go(func() { g.probes.run(ctx) })
	defer wg.Wait()
	defer cancel()
	g.run(ctx)
	if ctx.Err() == nil {
		g.aftermath(ctx)
	}
}

func (g *guard) run(ctx context.Context) {
	defer g.save()
	for row := 0; ; row++ {
		t := g.look(ctx)
		s := g.e.now()
		slot := s.slot(g.w.Slot)
		if slot == nil || !s.Watch.waits() || !s.Watch.Began.Equal(g.w.Began) || ctx.Err() != nil {
			return
		}
		if t.News == g.news {
			row = 0
		}
		g.news = t.News
		g.compare(ctx, slot)
		j := g.observe(s, slot, t)
		if j.Ask {
			g.probes.ask(ctx, g.failing())
			g.asked = true
			pause(ctx, breath)
			continue
		}
		if g.act(ctx, s, j) || ctx.Err() != nil {
			return
		}
		if time.Since(g.saved) > saveEvery {
			g.save()
		}
		if row < inARow {
			pause(ctx, breath)
		} else {
			pause(ctx, outOf)
		}
	}
}

// look returns the traffic as soon as there are news of it, something else
// happened, or a second is over.
func (g *guard) look(ctx context.Context) proxy.Traffic {
	if g.asked {
		g.asked = false
		return g.e.n.proxies.look(ctx, proxy.Query{Environment: g.e.id, Generation: g.w.Generation})
	}
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	q := proxy.Query{Environment: g.e.id, Generation: g.w.Generation, Seen: g.news, Within: lookEvery}
	got := make(chan proxy.Traffic, 1)
	go func() { got <- g.e.n.proxies.look(waiting, q) }()
	select {
	case t := <-got:
		if t.PID == 0 { // there is no worker at the moment
			pause(ctx, retryAct)
		}
		return t
	case <-g.e.alarm:
		stop()
		<-got
		q.Within = 0
		return g.e.n.proxies.look(ctx, q)
	}
}

// compare asks the old release about its health when that of the new one has
// been bad for a while: if both are ill, it is no evidence against the new one.
func (g *guard) compare(ctx context.Context, slot *slotState) {
	now := failpoint.Now()
	if _, _, unready := g.probes.read(now); unready < compareAfter {
		g.alike = false
		return
	}
	if now.Sub(g.compared) < compareAfter {
		return
	}
	g.compared = now
	g.alike = !g.probes.ask(ctx, map[string]bool{slot.Spec.Environment.Health.Path: true})
}

// observe shows the evaluator all that is known.
func (g *guard) observe(s *envState, slot *slotState, t proxy.Traffic) analysis.Judgement {
	now := failpoint.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen.add(t, g.e.id)
	fresh := g.seen.since(g.w.Base, g.w.Generation)
	sample := analysis.Sample{At: now, New: counts(fresh), Share: s.share(), Crowd: t.Crowd}
	if old := s.slot(g.w.Back); old != nil {
		sample.Old = counts(g.seen.since(g.w.Base, old.Generation))
	}
	g.probes.measure(now, fresh.Requests)
	sample.Probes, sample.Back, sample.Hard.Unready = g.probes.read(now)
	if g.alike {
		sample.Hard.Unready = 0
	}
	sample.Hard.Exits = slot.exitsSince(g.w.Began)
	sample.Hard.Refused = t.Environment.Generations[g.w.Generation].Counters.InARow
	if len(t.Failures) > 0 {
		g.seen.Failures = t.Failures
	}
	g.seen.Probes, g.seen.Back, g.seen.Good = sample.Probes, sample.Back, g.probes.good()
	g.last = g.judge.Observe(sample)
	return g.last
}

// act does what the judgement asks for. It tells whether the watch is over.
func (g *guard) act(ctx context.Context, s *envState, j analysis.Judgement) bool {
	if !j.Ended() && j.Alert != "" && !j.Until.IsZero() && !j.At.Before(j.Until) {
		// The shared cause outlasts the watch: nobody knows how the release is.
		j.Outcome, j.Action, j.Reason = ship.NoConclusion, analysis.Hold, j.Alert
	}
	if j.Ended() {
		for {
			err := g.e.conclude(ctx, g.w, j)
			if err == nil || ctx.Err() != nil {
				return true
			}
			g.e.complain("a verdict was not carried out", err)
			pause(ctx, retryAct)
		}
	}
	if err := g.e.remark(g.w.Began, j); err != nil {
		g.e.complain("how a watch stands was not recorded", err)
	}
	if s.Watch.stageOver(j.Healthy, j.At) {
		if err := g.e.nextStage(ctx, g.w.Began); err != nil {
			g.e.complain("the next stage was not entered", err)
		}
	}
	return false
}

// remark records what others have to know while the watch goes on.
func (e *environment) remark(began time.Time, j analysis.Judgement) error {
	w := e.now().Watch
	if w.Healthy == j.Healthy && (w.Quiet == "") == (j.Quiet == "") && w.Alert == j.Alert && (w.Until.Equal(j.Until) || j.Until.IsZero()) {
		return nil
	}
	err := e.change(func(s *envState) error {
		if !s.Watch.waits() || !s.Watch.Began.Equal(began) {
			return errUnchanged
		}
		s.Watch.Healthy, s.Watch.Quiet, s.Watch.Alert = j.Healthy, j.Quiet, j.Alert
		if !j.Until.IsZero() {
			s.Watch.Until = j.Until
		}
		return nil
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// conclude records the verdict and does what it asks for: it gives traffic back
// to the old slot and latches the run, or lets the new one have all of it. The
// new slot's instances stay for study.
func (e *environment) conclude(ctx context.Context, w watchState, j analysis.Judgement) error {
	unlock, err := e.traffic.take(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	err = e.insist(func(s *envState) error {
		if !s.Watch.waits() || !s.Watch.Began.Equal(w.Began) {
			return errUnchanged
		}
		s.conclude(j, failpoint.Now())
		return nil
	})
	defer e.poke()
	if errors.Is(err, errUnchanged) {
		return nil // somebody else ended it
	}
	if err != nil {
		return err
	}
	now := e.now().Watch
	log := e.n.Log.With("environment", e.id.String(), "run", w.Run, "outcome", string(now.Verdict.Outcome), "reason", now.Verdict.Reason)
	if now.Shifted {
		log.Error("the new release was taken back")
	} else {
		log.Info("the watch is over")
	}
	for {
		err := e.n.proxies.apply(ctx)
		if err == nil {
			return e.switchWorkers()
		}
		if ctx.Err() != nil {
			return err // the next node applies what is recorded
		}
		e.complain("traffic was not given back yet", err)
		pause(ctx, retryAct)
	}
}

// conclude carries the judgement out, in the state.
func (e *envState) conclude(j analysis.Judgement, at time.Time) {
	w := e.Watch
	w.Verdict, w.Healthy, w.Quiet, w.Alert = j.Verdict(), j.Healthy, "", j.Alert
	switch j.Action {
	case analysis.RollBack:
		if !e.giveBack(j.Reason, at) {
			w.Verdict = ship.Verdict{Outcome: ship.NoConclusion, Reason: j.Reason + "; there is no old release to give traffic back to"}
			w.Held, w.Alert = true, w.Verdict.Reason
		}
	case analysis.Hold:
		w.Held = true
	case analysis.Promote:
		if w.staged() && e.Split != nil {
			e.enterStage(len(w.Stages), at)
		}
	case analysis.Nothing: // an end always asks for something
	}
}

// giveBack sends all requests to the old slot again, in the state. It tells
// whether there was a way back.
func (e *envState) giveBack(why string, at time.Time) bool {
	w := e.Watch
	old := e.slot(w.Back)
	if old == nil || !old.Started || e.Active != w.Slot && e.Split == nil {
		return false
	}
	e.latch(w.Run, why)
	w.Shifted = true
	if e.Split != nil {
		e.endSplit(w.drains(), at)
		return true
	}
	e.leave(w.Back, w.drains(), at) // without a time to keep: it stays
	e.ActiveRun = w.Run
	return true
}

// exitsSince says how instances ended after the given time, a clause each.
func (s *slotState) exitsSince(t time.Time) []string {
	var exits []string
	for _, id := range sortedKeys(s.Instances) {
		i := s.Instances[id]
		if i.ExitAt.After(t) {
			exits = append(exits, fmt.Sprintf("%s.%d: %s, %s after the swap", i.Process, i.Number, i.Exit, i.ExitAt.Sub(t).Round(time.Millisecond)))
		}
	}
	return exits
}
