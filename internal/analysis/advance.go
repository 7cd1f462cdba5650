package analysis

import "time"

// A kind is one of the tests.
type kind int

const (
	errorsKind         kind = iota // errors against the limit
	slowKind                       // slow requests against the limit
	errorsBesideKind               // errors against the old release
	slowBesideKind                 // slow requests against the old release
	rejectedBesideKind             // 4xx against the old release
	probesKind                     // health checks
	kinds
	none kind = -1
)

// besides names the test that has to agree while traffic is split, limits the
// one that has to for a comparison.
var (
	besides = [kinds]kind{errorsBesideKind, slowBesideKind, none, none, none, none}
	limits  = [kinds]kind{none, none, errorsKind, slowKind, none, none}
)

// ratios are how many times as often the new release may have it.
var ratios = [kinds]float64{errorsBesideKind: tolerance, slowBesideKind: tolerance, rejectedBesideKind: rejectedRatio}

// String returns the name of the test in reports.
func (k kind) String() string {
	if k < 0 || k >= kinds {
		return ""
	}
	return [kinds]string{
		"errors against the limit", "latency against the limit",
		"errors against the previous release", "latency against the previous release",
		"rejections against the previous release", "health checks",
	}[k]
}

// clock is the machine's, in comparison with the time of the watch.
type clock struct {
	Last  time.Time     `json:"last,omitzero"`
	Ahead time.Duration `json:"ahead,omitempty"`
}

// tick is when sticky traffic was last looked at, and the requests until then.
type tick struct {
	At  time.Time `json:"at,omitzero"`
	New int64     `json:"new"`
	Old int64     `json:"old"`
}

// pending are marked events that wait for the next tick of sticky traffic.
type pending struct {
	Marked int64 `json:"marked"`
	Both   int64 `json:"both"`
}

func (s Sample) share() float64 {
	if s.Share > 0 && s.Share <= 1 {
		return s.Share
	}
	return 1
}

func (s Sample) split() bool { return s.share() < 1 }

// sane makes a sample consistent in itself and with the one before: counters
// are read one by one while requests go on, and a counter never goes back.
func (s Sample) sane(last Sample) Sample {
	s.New, s.Old = s.New.sane(last.New), s.Old.sane(last.Old)
	s.Probes.Sent = max(s.Probes.Sent, last.Probes.Sent)
	s.Probes.Healthy = min(max(s.Probes.Healthy, last.Probes.Healthy), s.Probes.Sent)
	if s.share() == 1 {
		s.Share = 0
	}
	return s
}

// longestGap is the longest time between two samples that counts as watched.
const longestGap = time.Minute

// steady gives the sample the time of the watch, which neither goes back nor
// jumps with the clock of the machine. A time in which nobody looked was not
// watched.
func (e *Evaluator) steady(s Sample) Sample {
	clock := &e.st.Clock
	if clock.Last.IsZero() {
		clock.Last = e.cfg.Began
	}
	if step := s.At.Sub(clock.Last); step < 0 || step > longestGap {
		clock.Ahead += step
	}
	clock.Last = s.At
	s.At = s.At.Add(-clock.Ahead)
	return s
}

func (c Counts) sane(last Counts) Counts {
	c.Errors, c.Slow = max(c.Errors, last.Errors), max(c.Slow, last.Slow)
	c.Counted = min(max(c.Counted, last.Counted), c.Errors)
	c.Rejected, c.Slower = max(c.Rejected, last.Rejected), max(c.Slower, last.Slower)
	c.Requests = max(c.Requests, last.Requests, c.Errors)
	c.Timed = max(c.Timed, last.Timed, c.Slow, c.Slower)
	return c
}

// less returns what came after the earlier counts.
func (c Counts) less(e Counts) Counts {
	return Counts{
		Requests: c.Requests - e.Requests, Errors: c.Errors - e.Errors, Counted: c.Counted - e.Counted,
		Rejected: c.Rejected - e.Rejected, Timed: c.Timed - e.Timed, Slow: c.Slow - e.Slow, Slower: c.Slower - e.Slower,
	}
}

// capped are the errors that do not count.
func (c Counts) capped() int64 { return c.Errors - c.Counted }

// advance adds what is new in the sample to the tests. It tells whether the
// sample must be recorded, because something began or ended with it.
func (e *Evaluator) advance(s Sample) (notable bool) {
	last := e.st.Last
	if !e.st.Seen {
		last.Share = s.Share
	}
	fresh, old := s.New.less(last.New), s.Old.less(last.Old)
	t := &e.st.Streams
	t[errorsKind].add(fresh.Counted, fresh.Requests, e.bounds.ErrorRate)
	notable = e.beside(last, s, fresh, old) // before the warm-up may end: what came until now is part of it
	if e.st.Warm != nil {
		t[slowKind].add(fresh.Slow-fresh.capped(), fresh.Timed, slowShare)
	} else if s.New.Requests >= warmupRequest || !s.At.Before(e.cfg.Began.Add(e.warmup())) {
		warm := s.New
		warm.Latency = nil
		e.st.Warm, notable = &warm, true
	}
	probes := s.Probes.Sent - last.Probes.Sent
	t[probesKind].add(probes-(s.Probes.Healthy-last.Probes.Healthy), probes, probeRate)
	if e.st.Seen && last.share() != s.share() {
		notable = true
		e.stage(last, s)
	}
	e.st.Last, e.st.Seen = s, true
	e.st.Last.New.Latency, e.st.Last.Old.Latency = nil, nil
	return notable
}

func (e *Evaluator) warmup() time.Duration {
	if e.cfg.Limits.Warmup > 0 {
		return e.cfg.Limits.Warmup
	}
	return DefaultWarmup
}

// beside feeds the comparisons. Of a request that failed it is asked on which
// release it was: a cause that both have does not change the answer.
func (e *Evaluator) beside(last, s Sample, fresh, old Counts) (notable bool) {
	if !e.cfg.Split {
		return false
	}
	p := &e.st.Beside
	p[errorsBesideKind].add(fresh.Counted, old.Counted)
	p[rejectedBesideKind].add(fresh.Rejected, old.Rejected)
	if e.st.Warm != nil {
		p[slowBesideKind].add(fresh.Slower-fresh.capped(), old.Slower-old.capped())
	}
	share := last.share()
	if e.cfg.Sticky {
		// Users who stay where they are make the share of the moment what it
		// happens to be: that is the one their errors have to be held against.
		since := tick{At: s.At, New: s.New.Requests, Old: s.Old.Requests}
		both := since.New - e.st.Tick.New + since.Old - e.st.Tick.Old
		if s.At.Sub(e.st.Tick.At) < epochLeast && s.share() == last.share() || both == 0 {
			return false
		}
		share = float64(since.New-e.st.Tick.New) / float64(both)
		e.st.Tick, notable = since, true
	} else if !last.split() {
		*p = [kinds]pending{} // all traffic was the new release's
		return false
	}
	for k, ratio := range ratios {
		if ratio > 0 {
			e.st.Streams[k].add(p[k].Marked, p[k].Both, ratio*share/(ratio*share+1-share))
			p[k] = pending{}
		}
	}
	return notable
}

func (p *pending) add(fresh, old int64) {
	p.Marked += fresh
	p.Both += fresh + old
}

// stage begins with another share of the traffic. Evidence that was not enough
// while the old release could be seen beside the new one is put down to a cause
// that both have: it must not become enough for want of comparison.
func (e *Evaluator) stage(last, s Sample) {
	e.moment(s.At, "the new release gets "+percent(s.share())+" of the requests")
	if !last.split() || s.split() {
		return
	}
	for _, k := range []kind{errorsKind, slowKind} {
		if e.runs(k) && e.log(k) >= e.line(k) {
			e.reset()
			return
		}
	}
}

// boundary begins the next copies of the tests when it is time.
func (e *Evaluator) boundary(s Sample) bool {
	ep := &e.st.Epoch
	took, requests := s.At.Sub(ep.At), s.New.Requests-ep.Requests
	if took < epochTime && (requests < epochRequests || took < epochLeast) {
		return false
	}
	*ep = epoch{At: s.At, Requests: s.New.Requests}
	for k := range kinds {
		if e.runs(k) {
			e.st.Streams[k].boundary()
		}
	}
	return true
}
