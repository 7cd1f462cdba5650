package proxy

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/shiplock/shiplock/internal/analysis"
)

// buckets is enough for any number of microseconds: eight to each power of two.
const buckets = 512

// A Histogram counts durations in log-linear buckets of microseconds, eight to
// each power of two, so that a bucket is at most 12.5 % wide. Trailing empty
// buckets are left out.
type Histogram []int64

// bucketOf returns the bucket of d.
func bucketOf(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < 8 {
		return int(us)
	}
	exp := bits.Len64(us) - 1
	return (exp-2)*8 + int(us>>(exp-3))&7
}

// upperEdge returns the longest duration of bucket i.
func upperEdge(i int) time.Duration {
	if i < 8 {
		return time.Duration(i) * time.Microsecond
	}
	exp, sub := i/8+2, i%8
	return time.Duration((uint64(8+sub+1)<<(exp-3))-1) * time.Microsecond
}

// Count returns how many durations h holds.
func (h Histogram) Count() int64 {
	var n int64
	for _, c := range h {
		n += c
	}
	return n
}

// Quantile returns an upper bound of the q-quantile (0 < q ≤ 1), at most
// 12.5 % above it; 0 when h is empty.
func (h Histogram) Quantile(q float64) time.Duration {
	total := h.Count()
	if total == 0 {
		return 0
	}
	rank := max(int64(q*float64(total)+0.999999), 1)
	var seen int64
	for i, c := range h {
		if seen += c; seen >= rank {
			return upperEdge(i)
		}
	}
	return upperEdge(len(h) - 1)
}

// Since returns what h counted after the earlier state old.
func (h Histogram) Since(old Histogram) Histogram {
	diff := make(Histogram, len(h))
	copy(diff, h)
	for i := range min(len(h), len(old)) {
		diff[i] -= old[i]
	}
	return diff
}

// A recorder is a Histogram that many goroutines add to.
type recorder struct{ counts [buckets]atomic.Int64 }

func (r *recorder) add(d time.Duration) { r.counts[bucketOf(d)].Add(1) }

func (r *recorder) read() Histogram {
	h := make(Histogram, buckets)
	last := 0
	for i := range r.counts {
		if h[i] = r.counts[i].Load(); h[i] != 0 {
			last = i + 1
		}
	}
	return h[:last]
}

// Buckets returns what h holds, by the upper edges of its buckets.
func (h Histogram) Buckets() []analysis.Bucket {
	var all []analysis.Bucket
	for i, n := range h {
		if n > 0 {
			all = append(all, analysis.Bucket{Upper: upperEdge(i), N: n})
		}
	}
	return all
}

// Each calls f with the longest duration of every bucket that is not empty,
// and how many it holds.
func (h Histogram) Each(f func(upTo time.Duration, n int64)) {
	for i, n := range h {
		if n != 0 {
			f(upperEdge(i), n)
		}
	}
}
