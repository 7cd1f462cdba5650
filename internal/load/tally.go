package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Snapshot is what came of a load until a moment. Sent is the sum of OK and
// all of Failed: what is under way is in none of them yet.
type Snapshot struct {
	Sent    int64             `json:"sent"`
	OK      int64             `json:"ok"`
	Failed  map[string]Failed `json:"failed,omitempty"` // by status ("503") or by "refused", "reset", "closed", "cut", "timeout", "name", "other"
	Posts   int64             `json:"posts"`            // POSTs among OK
	Retried int64             `json:"retried,omitempty"`
	Skipped int64             `json:"skipped,omitempty"` // due, but never sent: the sender was too far behind
	P50     time.Duration     `json:"p50"`               // latencies of all that were answered, good or not
	P95     time.Duration     `json:"p95"`
	P99     time.Duration     `json:"p99"`
	Max     time.Duration     `json:"max"`
	Elapsed time.Duration     `json:"elapsed"`

	latency histogram // never changed
}

// Failed counts one way of failing and keeps its first cases.
type Failed struct {
	Count int64    `json:"count"`
	First []Answer `json:"first"` // at most 5
}

const samples = 5

// Lost is how many requests failed in any way.
func (s Snapshot) Lost() int64 { return s.Sent - s.OK }

// Since returns what happened between before, an earlier snapshot of the same
// load, and s. Max and the first cases are those of the whole load.
func (s Snapshot) Since(before Snapshot) Snapshot {
	d := s
	d.Sent -= before.Sent
	d.OK -= before.OK
	d.Posts -= before.Posts
	d.Retried -= before.Retried
	d.Skipped -= before.Skipped
	d.Elapsed -= before.Elapsed
	d.Failed = map[string]Failed{}
	for class, f := range s.Failed {
		if f.Count -= before.Failed[class].Count; f.Count > 0 {
			d.Failed[class] = f
		}
	}
	d.latency = s.latency.minus(before.latency)
	d.percentiles()
	return d
}

// Rate is requests answered a second.
func (s Snapshot) Rate() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.Sent) / s.Elapsed.Seconds()
}

// String is the snapshot in one line, e.g. "1240 requests, 3 failed (503: 2,
// reset: 1), p50 3ms, p95 12ms, p99 40ms".
func (s Snapshot) String() string {
	var why []string
	for _, class := range slices.Sorted(maps.Keys(s.Failed)) {
		why = append(why, fmt.Sprintf("%s: %d", class, s.Failed[class].Count))
	}
	text := fmt.Sprintf("%d requests, %d failed", s.Sent, s.Lost())
	if len(why) > 0 {
		text += " (" + strings.Join(why, ", ") + ")"
	}
	if s.Retried > 0 {
		text += fmt.Sprintf(", %d sent again by net/http", s.Retried)
	}
	return text + fmt.Sprintf(", p50 %s, p95 %s, p99 %s", short(s.P50), short(s.P95), short(s.P99))
}

func short(d time.Duration) time.Duration {
	if d >= 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

func (s *Snapshot) percentiles() {
	s.P50, s.P95, s.P99 = s.latency.at(0.50), s.latency.at(0.95), s.latency.at(0.99)
}

type failures struct {
	count int64
	first []Answer
}

// A tally is written by all workers and read at any time.
type tally struct {
	mu      sync.Mutex
	s       Snapshot // without latency
	latency histogram
	failed  map[string]*failures
	began   time.Time
	stopped time.Time
}

func (t *tally) start(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began = at
}

func (t *tally) end(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = at
}

func (t *tally) skip() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Skipped++
}

func (t *tally) add(a Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Sent++
	if a.Retried {
		t.s.Retried++
	}
	if a.Status != 0 {
		t.latency.add(a.Latency)
		t.s.Max = max(t.s.Max, a.Latency)
	}
	if a.Class == "" {
		t.s.OK++
		if a.Method == "POST" {
			t.s.Posts++
		}
		return
	}
	f := t.failed[a.Class]
	if f == nil {
		f = &failures{}
		t.failed[a.Class] = f
	}
	if f.count++; len(f.first) < samples {
		f.first = append(f.first, a)
	}
}

func (t *tally) snapshot(now time.Time) Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.s
	s.latency = t.latency.copied()
	s.Failed = make(map[string]Failed, len(t.failed))
	for class, f := range t.failed {
		s.Failed[class] = Failed{f.count, slices.Clone(f.first)}
	}
	if !t.stopped.IsZero() {
		now = t.stopped
	}
	if !t.began.IsZero() {
		s.Elapsed = now.Sub(t.began)
	}
	s.percentiles()
	return s
}
