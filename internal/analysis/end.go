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
	least := e.cfg.Limits.Min
	if least <= 0 {
		least = DefaultMin
	}
	if !e.st.Healthy.IsZero() || s.At.Sub(e.cfg.Began) < min(least, e.cfg.Limits.For) || !e.proven(s) {
		return
	}
	e.st.Healthy = s.At
	e.moment(s.At, "health is proven: "+e.soFar(s))
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
		return e.against(j, s, "", why)
	case ship.HoldForAPerson:
		j.Outcome, j.Action, j.Alert = ship.NoConclusion, Hold, why
	default:
		j.Outcome, j.Action = ship.NoConclusion, Promote
	}
	j.Healthy, j.Reason = false, why
	return j
}
