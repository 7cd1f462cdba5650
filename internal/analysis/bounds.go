package analysis

import (
	"math"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

const (
	tolerance     = 1.5  // new may have so many times the errors of old
	slack         = 1.2  // and be so much slower
	rejectedRatio = 3    // and reject (4xx) so many times as often
	slowShare     = 0.05 // a 95th percentile above L is more than 5 % above L
	probeRate     = 0.01 // failed health checks
)

// Defaults of limits that are zero.
const (
	DefaultConfidence = 0.999
	DefaultMin        = time.Minute
	DefaultWarmup     = 30 * time.Second
)

// Bounds are what a release is held to: the limits, or what the old release
// did when that was worse.
type Bounds struct {
	ErrorRate float64       `json:"error_rate,omitempty"` // 0: not judged
	P95       time.Duration `json:"p95,omitempty"`        // 0: not judged. The proxy counts [Counts].Slow against it.
	Tau       time.Duration `json:"tau,omitempty"`        // 0: not compared. The proxy counts [Counts].Slower against it.
	// OldErrors and OldP95 tell that the bound is the old release's: it did not
	// keep the limit either.
	OldErrors bool `json:"old_errors,omitempty"`
	OldP95    bool `json:"old_p95,omitempty"`
}

// Bounds decides what the release is held to. It is asked once, when the watch
// begins.
func (c Config) Bounds() Bounds {
	b := Bounds{ErrorRate: c.Limits.ErrorRate, P95: c.Limits.P95}
	alpha := 1 - confidence(c.Limits)
	if c.Before.Requests > 0 && b.ErrorRate > 0 {
		old := min(tolerance*UpperRate(c.Before.Errors, c.Before.Requests, alpha/2), 1)
		// With hardly any requests the bound says only that nothing is known:
		// a limit is raised by what the old release did, not by silence.
		if c.Before.Errors >= minMarked && old > b.ErrorRate {
			b.ErrorRate, b.OldErrors = old, true
		}
	}
	if edge := UpperQuantile(c.Before.Latency, 1-slowShare, alpha/2); edge > 0 && b.P95 > 0 {
		measured := Quantile(c.Before.Latency, 1-slowShare)
		if old := time.Duration(slack * float64(edge)); measured > b.P95 {
			b.P95, b.OldP95 = max(old, b.P95), true
		}
	}
	if c.Split {
		b.Tau = time.Duration(slack * float64(Quantile(c.Before.Latency, 1-slowShare)))
	}
	return b
}

func confidence(l ship.Limits) float64 {
	if l.Confidence <= 0 || l.Confidence >= 1 {
		return DefaultConfidence
	}
	return l.Confidence
}

// UpperRate returns the Clopper–Pearson upper bound at 1−alpha of the chance of
// an event that was seen marked times in n trials.
func UpperRate(marked, n int64, alpha float64) float64 {
	if n <= 0 || marked >= n {
		return 1
	}
	low, high := float64(marked)/float64(n), 1.0
	for range 60 {
		p := (low + high) / 2
		if atMost(marked, n, p) > alpha {
			low = p
		} else {
			high = p
		}
	}
	return high
}

// atMost returns the chance of at most k events in n trials of chance p. It
// sums from k downwards, where the terms shrink fast when p is above k/n.
func atMost(k, n int64, p float64) float64 {
	if p <= 0 {
		return 1
	}
	if p >= 1 {
		return 0
	}
	term := logChoose(n, k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p)
	sum, ratio := 1.0, 1.0
	for i := k; i > 0; i-- {
		ratio *= float64(i) / float64(n-i+1) * (1 - p) / p
		sum += ratio
		if ratio < 1e-17*sum {
			break
		}
	}
	return min(math.Exp(term)*sum, 1)
}

func logChoose(n, k int64) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

// Quantile returns the upper edge of the bucket the q-quantile is in.
func Quantile(h []Bucket, q float64) time.Duration {
	return edge(h, int64(math.Ceil(q*float64(total(h)))))
}

// UpperQuantile returns an upper bound at 1−alpha of the q-quantile: the
// smallest order statistic k with P(Bin(n,q) ≥ k) ≤ alpha. 0 when there is too
// little to say.
func UpperQuantile(h []Bucket, q, alpha float64) time.Duration {
	n := total(h)
	low, high := int64(0), n+1 // of k; high holds
	for low+1 < high {
		k := (low + high) / 2
		// P(Bin(n,q) ≥ k) = P(Bin(n,1−q) ≤ n−k)
		if atMost(n-k, n, 1-q) <= alpha {
			high = k
		} else {
			low = k
		}
	}
	if high > n {
		return 0
	}
	return edge(h, high)
}

func total(h []Bucket) int64 {
	var n int64
	for _, b := range h {
		n += b.N
	}
	return n
}

// edge returns the upper edge of the bucket that holds the k-th latency.
func edge(h []Bucket, k int64) time.Duration {
	var seen int64
	for _, b := range h {
		if seen += b.N; seen >= k && b.N > 0 {
			return b.Upper
		}
	}
	return 0
}
