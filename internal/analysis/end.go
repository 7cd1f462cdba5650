package analysis

import (
	"fmt"
	"math"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// prove notes when health was proven first: both rates below their limits, and
// not too early to know.
func (e *Evaluator) prove(s Sample) {
	if !e.st.Healthy.IsZero() || s.At.Sub(e.cfg.Began) < e.least() || !e.proven(s) {
		return
	}
	e.st.Healthy = s.At
	e.moment(s.At, "health is proven: "+e.soFar(s))
}

// least is how long it takes at least to know anything good of a release.
func (e *Evaluator) least() time.Duration {
	least := e.cfg.Limits.Min
	if least <= 0 {
		least = DefaultMin
	}
	return min(least, e.cfg.Limits.For)
}

// quiet says what was seen of a release that nobody uses, or "". Its health
// checks are good, no request failed, and at the rate so far there will be no
// proof of health before the watch is over: to wait for it would be in vain.
// Where an end without proof is not the release's to stay, waiting is not.
func (e *Evaluator) quiet(j Judgement, s Sample) string {
	l, took := e.cfg.Limits, s.At.Sub(e.cfg.Began)
	stays := l.OnInconclusive == "" || l.OnInconclusive == ship.Extend || l.OnInconclusive == ship.PromoteAnyway
	well := s.Probes.Healthy > 0 && s.Probes.Failing == 0 && float64(s.Probes.Sent-s.Probes.Healthy) <= probeRate*float64(s.Probes.Sent)
	if j.Healthy || j.Alert != "" || !stays || !well || s.New.Errors > 0 || took < e.least() {
		return ""
	}
	left := max(e.until().Sub(s.At), 0)
	if float64(s.New.Requests)*left.Seconds()/took.Seconds() >= float64(e.more(s)) {
		return ""
	}
	within, checks := brief(took.Round(time.Second)), fmt.Sprintf("%s of %s health checks were good", number(s.Probes.Healthy), number(s.Probes.Sent))
	if s.New.Requests == 0 {
		return fmt.Sprintf("no request came within %s, %s", within, checks)
	}
	return fmt.Sprintf("%s came within %s and none failed, about %s more would prove health, %s", plural(int(s.New.Requests), "request"), within, number(e.more(s)), checks)
}

// proven tells whether health is proven by what is known now. Every error
// counts here, also of a client in a loop: what is left out to be careful with
// a rollback would be careless here.
func (e *Evaluator) proven(s Sample) bool {
	l := e.cfg.Limits
	if l.ErrorRate == 0 && l.P95 == 0 {
		return s.Probes.Healthy > 0 && s.Probes.Failing == 0
	}
	if l.ErrorRate > 0 && logBetter(float64(s.New.Errors), float64(s.New.Requests), l.ErrorRate) < math.Log(healthyE) {
		return false
	}
	slow, timed := e.timed(s)
	return l.P95 == 0 || !e.bounds.OldP95 && logBetter(float64(slow), float64(timed), slowShare) >= math.Log(healthyE)
}

// timed returns the slow requests and all that were timed since the warm-up.
func (e *Evaluator) timed(s Sample) (slow, n int64) {
	if e.st.Warm == nil {
		return 0, 0
	}
	c := s.New.less(*e.st.Warm)
	return c.Slow, c.Timed
}

// more is about how many requests would prove health at the rates so far.
func (e *Evaluator) more(s Sample) int64 {
	var more int64
	if e.cfg.Limits.ErrorRate > 0 {
		more = moreUntilHealthy(s.New.Errors, s.New.Requests, e.cfg.Limits.ErrorRate)
	}
	if e.cfg.Limits.P95 > 0 {
		slow, n := e.timed(s)
		more = max(more, moreUntilHealthy(slow, n, slowShare))
	}
	return more
}

// atTheEnd judges a release that nothing speaks against enough.
func (e *Evaluator) atTheEnd(j Judgement, s Sample) Judgement {
	until := e.until()
	j.Until = until
	proven := e.proven(s)
	if s.At.Before(until) && !(e.st.Longer && proven && j.Healthy) {
		return j
	}
	if proven {
		j.Outcome, j.Action, j.Healthy = ship.Pass, Promote, true
		j.Reason = "healthy, proven: " + e.soFar(s)
		return j
	}
	return e.inconclusive(j, s)
}

// inconclusive does what the limits want of a watch that ended without proof.
func (e *Evaluator) inconclusive(j Judgement, s Sample) Judgement {
	j.More = e.more(s)
	why := fmt.Sprintf("not proven in %s: %s; %s", brief(s.At.Sub(e.cfg.Began)), e.soFar(s), e.outlook(j, s))
	policy := e.cfg.Limits.OnInconclusive
	if policy == "" || policy == ship.Extend {
		if !e.st.Longer {
			e.st.Longer = true
			e.moment(s.At, why+"; watched once more for as long")
			j.Until, j.Reason = e.until(), why+"; watched until "+e.until().UTC().Format(time.TimeOnly)+" UTC"
			return j
		}
		policy = ship.PromoteAnyway
	}
	switch policy {
	case ship.RollBackAnyway:
		return e.against(j, "", why)
	case ship.HoldForAPerson:
		j.Outcome, j.Action, j.Alert = ship.NoConclusion, Hold, why
	default:
		j.Outcome, j.Action = ship.NoConclusion, Promote
	}
	j.Healthy, j.Reason = false, why
	return j
}
