package analysis

import (
	"math"
	"time"
)

// An Interval is where a value lies, at all times at once: it stays true
// however often and whenever one looks.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// RateInterval returns the interval of the chance of an event that was marked
// so many times in n trials: what neither test refutes.
func RateInterval(marked, n int64, level float64) Interval {
	if n <= 0 {
		return Interval{0, 1}
	}
	line := math.Log(2 / (1 - level))
	s, m := float64(marked), float64(n)
	return Interval{
		Low:  bisect(0, s/m, func(p float64) bool { return logWorse(s, m, p) >= line }),
		High: bisect(1, s/m, func(p float64) bool { return logBetter(s, m, p) >= line }),
	}
}

// bisect returns the value nearest to inner for which refuted still holds,
// going from outer; outer when it holds nowhere.
func bisect(outer, inner float64, refuted func(float64) bool) float64 {
	if !refuted(outer) {
		return outer
	}
	for range 24 {
		p := (outer + inner) / 2
		if refuted(p) {
			outer = p
		} else {
			inner = p
		}
	}
	return outer
}

// A Span is an Interval of latencies. High is 0 when nothing bounds it.
type Span struct {
	Low  time.Duration `json:"low"`
	High time.Duration `json:"high"`
}

// QuantileInterval returns the interval of the q-quantile of latencies, as fine
// as the buckets are.
func QuantileInterval(h []Bucket, q, level float64) Span {
	n := total(h)
	line := math.Log(2 / (1 - level))
	var span Span
	above := n
	for _, b := range h {
		above -= b.N
		if b.N == 0 {
			continue
		}
		if logWorse(float64(above), float64(n), 1-q) >= line {
			span.Low = b.Upper
		}
		if span.High == 0 && logBetter(float64(above), float64(n), 1-q) >= line {
			span.High = b.Upper
		}
	}
	return span
}

// mostMore bounds how far ahead is looked.
const mostMore = 10_000_000

// moreUntilHealthy returns about how many more trials would prove that a rate
// is below p0 when they go on as they did. 0 is none, mostMore too many to say.
func moreUntilHealthy(marked, n int64, p0 float64) int64 {
	rate := 0.0
	if n > 0 {
		rate = float64(marked) / float64(n)
	}
	proven := func(more int64) bool {
		return logBetter(float64(marked)+rate*float64(more), float64(n+more), p0) >= math.Log(healthyE)
	}
	if proven(0) {
		return 0
	}
	high := int64(64)
	for ; !proven(high); high *= 2 {
		if high >= mostMore {
			return mostMore
		}
	}
	low := int64(0)
	for low+1 < high {
		if mid := (low + high) / 2; proven(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return high
}
