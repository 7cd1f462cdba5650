package load

import (
	"fmt"
	"maps"
	"math/bits"
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

	latency histogram
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
	for i, n := range before.latency {
		d.latency[i] -= n
	}
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
	s       Snapshot
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
		t.s.latency.add(a.Latency)
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

// A histogram counts latencies in buckets that are at most 1/16 of their value
// wide, from microseconds to more than an hour, in a fixed 4 KiB.
type histogram [512]int64

const steps = 16 // buckets in each doubling

func (h *histogram) add(d time.Duration) { h[bucket(d)]++ }

func bucket(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 0))
	if us < steps {
		return int(us)
	}
	shift := bits.Len64(us) - 5 // leaves 16..31
	return min(shift*steps+int(us>>shift), len(histogram{})-1)
}

// upper is the highest latency that is counted in bucket i.
func upper(i int) time.Duration {
	if i < 2*steps {
		return time.Duration(i) * time.Microsecond
	}
	shift := i/steps - 1
	us := (uint64(i%steps+steps)+1)<<shift - 1
	return time.Duration(us) * time.Microsecond
}

// at returns a latency that the share q of all requests did not exceed.
func (h *histogram) at(q float64) time.Duration {
	var total, seen int64
	for _, n := range h {
		total += n
	}
	if total == 0 {
		return 0
	}
	want := int64(q * float64(total))
	for i, n := range h {
		if seen += n; seen > want || seen == total {
			return upper(i)
		}
	}
	return 0
}
