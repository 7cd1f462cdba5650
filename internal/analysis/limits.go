package analysis

import (
	"fmt"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// defaultMinRequests is used when the limits name no number: below it one
// transient error is a large percentage.
const defaultMinRequests = 20

// failingProbes is how many failed health checks in a row are a failure.
const failingProbes = 3

// A Watch judges a release that has just begun to serve. Observe is called
// again and again with what is known so far; once it has returned anything but
// [ship.Wait] the watch is over and the verdict stays what it was.
type Watch interface {
	Observe(s PlainSample) ship.Verdict
}

// A PlainSample is all that is known of the new release since the watch began. The
// counts grow from sample to sample.
type PlainSample struct {
	At       time.Time
	Requests int64         // answered by the new release
	Errors   int64         // of those, 5xx and failures to answer
	P95      time.Duration // of the latencies of those
	Probes   Probes
	Exits    []string // how instances of the new release ended, a clause each: "web.1: exit code 1"
}

// Plain is the [Watch] of plain limits: it compares what was counted with
// fixed numbers, without statistics.
type Plain struct {
	limits ship.Limits
	until  time.Time
	ended  *ship.Verdict
}

// NewPlain returns a watch that began at the given time.
func NewPlain(l ship.Limits, began time.Time) *Plain {
	if l.MinRequests <= 0 {
		l.MinRequests = defaultMinRequests
	}
	return &Plain{limits: l, until: began.Add(l.For)}
}

// Observe implements [Watch].
func (p *Plain) Observe(s PlainSample) ship.Verdict {
	if p.ended != nil {
		return *p.ended
	}
	v := p.judge(s)
	if v.Outcome != ship.Wait {
		p.ended = &v
	}
	return v
}

func (p *Plain) judge(s PlainSample) ship.Verdict {
	if reason := p.broken(s); reason != "" {
		return ship.Verdict{Outcome: ship.Fail, Reason: reason}
	}
	if s.At.Before(p.until) {
		left := p.until.Sub(s.At).Round(time.Second)
		return ship.Verdict{Outcome: ship.Wait, Reason: fmt.Sprintf("%s; %s left", p.soFar(s), left)}
	}
	return p.final(s)
}

// broken returns the sentence that says which limit does not hold, or "".
func (p *Plain) broken(s PlainSample) string {
	l := p.limits
	switch {
	case len(s.Exits) > 0:
		return "an instance ended: " + strings.Join(s.Exits, "; ")
	case s.Probes.Failing >= failingProbes:
		return fmt.Sprintf("%d health checks in a row failed, the last one: %s", s.Probes.Failing, s.Probes.Last)
	case !p.enough(s):
		return ""
	case l.ErrorRate > 0 && rate(s) > l.ErrorRate:
		return fmt.Sprintf("%s, limit %s", failed(s), percent(l.ErrorRate))
	case l.P95 > 0 && s.P95 > l.P95:
		return fmt.Sprintf("the 95th percentile of latency is %s over %d requests, limit %s", short(s.P95), s.Requests, l.P95)
	}
	return ""
}

// final is the verdict when time is up and no limit was broken. A limit on
// requests that nobody sent is not kept but untested.
func (p *Plain) final(s PlainSample) ship.Verdict {
	judgesRequests := p.limits.ErrorRate > 0 || p.limits.P95 > 0
	switch {
	case judgesRequests && !p.enough(s):
		return ship.Verdict{Outcome: ship.NoConclusion, Reason: fmt.Sprintf(
			"no evidence on requests: %d of the %d needed were answered in %s; %s",
			s.Requests, p.limits.MinRequests, p.limits.For, probed(s))}
	case !judgesRequests && s.Probes.Healthy == 0:
		return ship.Verdict{Outcome: ship.NoConclusion, Reason: "no evidence: no limit on requests is set and no health check was answered"}
	}
	return ship.Verdict{Outcome: ship.Pass, Reason: p.soFar(s)}
}

func (p *Plain) enough(s PlainSample) bool { return s.Requests >= int64(p.limits.MinRequests) }

// soFar says what was seen, with the limits it was held against.
func (p *Plain) soFar(s PlainSample) string {
	text := failed(s)
	if p.limits.ErrorRate > 0 {
		text += ", limit " + percent(p.limits.ErrorRate)
	}
	if s.Requests > 0 {
		text += fmt.Sprintf(", p95 %s", short(s.P95))
		if p.limits.P95 > 0 {
			text += fmt.Sprintf(", limit %s", p.limits.P95)
		}
	}
	return text + "; " + probed(s)
}

func rate(s PlainSample) float64 {
	if s.Requests == 0 {
		return 0
	}
	return float64(s.Errors) / float64(s.Requests)
}

func failed(s PlainSample) string {
	if s.Requests == 0 {
		return "0 requests"
	}
	return fmt.Sprintf("%d of %d requests failed (%s)", s.Errors, s.Requests, percent(rate(s)))
}

func probed(s PlainSample) string {
	return fmt.Sprintf("%d of %d health checks were good", s.Probes.Healthy, s.Probes.Sent)
}
