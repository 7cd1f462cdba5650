package analysis

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// sentence says what speaks against the release, with all numbers.
func (e *Evaluator) sentence(k kind, s Sample) string {
	var text string
	switch k {
	case errorsKind:
		text = e.failedText(s)
	case slowKind:
		slow, n := e.timed(s)
		text = fmt.Sprintf("%s of %s requests on %s took longer than %s or failed (%s), limit %s (p95)%s. Chance of this if p95 were ≤ %s: %s.",
			number(slow), number(n), e.newName(), brief(e.bounds.P95), percent(share(slow, n)), percent(slowShare),
			e.raised(e.bounds.OldP95, brief(e.cfg.Limits.P95)), brief(e.bounds.P95), e.chance(k))
	case probesKind:
		text = fmt.Sprintf("%s of %s health checks failed on %s, the last one: %s. Chance of this if %s failed: %s.",
			number(s.Probes.Sent-s.Probes.Healthy), number(s.Probes.Sent), e.newName(), s.Probes.Last, percent(probeRate), e.chance(k))
	default:
		what := map[kind]string{errorsBesideKind: "failed", slowBesideKind: "slow or failed", rejectedBesideKind: "rejected (4xx)"}[k]
		st := &e.st.Streams[k]
		text = fmt.Sprintf("%s of %s %s requests were on %s, which has %s of the traffic. Chance of this if they were at most %g times as frequent there as on %s: %s.",
			number(st.Marked), number(st.Trials), what, e.newName(), percent(s.share()), ratios[k], e.oldName(), e.chance(k))
	}
	return text + e.previous(k, s) + e.counting(s)
}

func (e *Evaluator) failedText(s Sample) string {
	return fmt.Sprintf("%s of %s requests failed on %s (%s), limit %s%s. Chance of this if the rate were ≤ %s: %s.",
		number(s.New.Errors), number(s.New.Requests), e.newName(), percent(share(s.New.Errors, s.New.Requests)),
		percent(e.bounds.ErrorRate), e.raised(e.bounds.OldErrors, percent(e.cfg.Limits.ErrorRate)),
		percent(e.bounds.ErrorRate), e.chance(errorsKind))
}

// raised says where a bound comes from that is not the limit.
func (e *Evaluator) raised(old bool, limit string) string {
	if !old {
		return ""
	}
	return " (raised from " + limit + ", which " + e.oldName() + " did not keep either)"
}

// previous says how the old release did.
func (e *Evaluator) previous(k kind, s Sample) string {
	if k == probesKind {
		return ""
	}
	if e.cfg.Split && s.Old.Requests > 0 {
		return fmt.Sprintf(" Previous release: %s of %s in the same period.", number(s.Old.Errors), number(s.Old.Requests))
	}
	if b := e.cfg.Before; b.Requests > 0 {
		return fmt.Sprintf(" Previous release: %s of %s before the swap, when conditions may have been others.", number(b.Errors), number(b.Requests))
	}
	return ""
}

// counting says which errors count, when it matters.
func (e *Evaluator) counting(s Sample) string {
	switch {
	case s.New.Counted < s.New.Errors:
		return fmt.Sprintf(" Of the errors %s count: at most %d of a client in %d s.", number(s.New.Counted), burstCap, burstWindow)
	case s.Crowd.Clients > 0 && !s.Crowd.Capping && s.New.Errors > 0:
		return fmt.Sprintf(" Every error counts: %s in the last %d s, the busiest with %s of the requests.", plural(s.Crowd.Clients, "client"), burstWindow, percent(s.Crowd.Top))
	}
	return ""
}

// chance returns an upper bound of the chance of such evidence by accident, all
// tests together: "< 1 in 1 000".
func (e *Evaluator) chance(k kind) string {
	log := e.log(k) - e.line(k) - math.Log(1-confidence(e.cfg.Limits))
	tens := min(math.Floor(log/math.Ln10+1e-9), 9)
	if tens < 1 {
		return "less than certain"
	}
	return "< 1 in " + number(int64(math.Pow(10, tens)))
}

// soFar says what was seen, and what it was held against.
func (e *Evaluator) soFar(s Sample) string {
	var parts []string
	if s.New.Requests > 0 || e.cfg.Limits.ErrorRate > 0 {
		text := fmt.Sprintf("%s of %s requests failed", number(s.New.Errors), number(s.New.Requests))
		if s.New.Requests > 0 {
			text += fmt.Sprintf(" (%s)", percent(share(s.New.Errors, s.New.Requests)))
		}
		if e.cfg.Limits.ErrorRate > 0 {
			text += ", limit " + percent(e.cfg.Limits.ErrorRate)
		}
		parts = append(parts, text)
	}
	if slow, n := e.timed(s); e.cfg.Limits.P95 > 0 && n > 0 {
		parts = append(parts, fmt.Sprintf("%s of %s took longer than %s or failed (%s), limit %s", number(slow), number(n), brief(e.bounds.P95), percent(share(slow, n)), percent(slowShare)))
	}
	if s.Probes.Sent > 0 {
		parts = append(parts, fmt.Sprintf("%s of %s health checks were good", number(s.Probes.Healthy), number(s.Probes.Sent)))
	}
	if len(parts) == 0 {
		return "nothing was seen"
	}
	return strings.Join(parts, "; ")
}

// outlook says what is proven, or what it would take.
func (e *Evaluator) outlook(j Judgement, s Sample) string {
	l := e.cfg.Limits
	switch {
	case j.Healthy && e.proven(s):
		return "healthy (proven)"
	case l.ErrorRate == 0 && l.P95 == 0:
		return "no limit on requests is set"
	case s.New.Requests == 0:
		return "no evidence on requests"
	}
	text := "not yet proven"
	if l.ErrorRate > 0 {
		i := RateInterval(s.New.Errors, s.New.Requests, 0.95)
		text = fmt.Sprintf("the error rate is between %s and %s (95 %%)", percent(i.Low), percent(i.High))
	}
	if j.More >= mostMore {
		return text + ", too near the limit to decide soon"
	}
	if j.More > 0 {
		return text + ", about " + plural(int(j.More), "more request") + " like these would prove health"
	}
	return text
}

func (e *Evaluator) newName() string {
	if e.cfg.New == "" {
		return "the new release"
	}
	return e.cfg.New
}

func (e *Evaluator) oldName() string {
	if e.cfg.Old == "" {
		return "the previous release"
	}
	return e.cfg.Old
}

func share(marked, n int64) float64 {
	if n == 0 {
		return 0
	}
	return float64(marked) / float64(n)
}

// number prints thousands apart.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return number(int64(n)) + " " + what
}

func joined(list []string) string { return strings.Join(list, "; ") }

// percent prints a share with as many digits as tell it from nothing.
func percent(share float64) string {
	digits := 1
	if p := share * 100; p > 0 && p < 0.95 || p > 99 && p < 100 {
		digits = 2
	}
	text := strconv.FormatFloat(share*100, 'f', digits, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".") + " %"
}

// brief prints a duration without trailing zeros: 10m, 2s, 1.5s.
func brief(d time.Duration) string {
	text := short(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// short prints a duration with as many digits as a person reads.
func short(d time.Duration) time.Duration {
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
