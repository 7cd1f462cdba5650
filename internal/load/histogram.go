package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A histogram counts latencies in buckets of at most a hundredth of their
// value, from a microsecond to an hour.
type histogram struct{ h *hdrhistogram.Histogram }

const longest = time.Hour

func newHistogram() histogram {
	return histogram{hdrhistogram.New(1, longest.Microseconds(), 2)}
}

func (h histogram) add(d time.Duration) {
	// Within its bounds every value is taken.
	_ = h.h.RecordValue(min(max(d, 0), longest).Microseconds())
}

func (h histogram) copied() histogram { return histogram{h.h.Clone()} }

// minus returns what h has more than before, an earlier copy of it or nothing.
func (h histogram) minus(before histogram) histogram {
	if h.h == nil || before.h == nil {
		return h
	}
	now, then := h.h.Export(), before.h.Export()
	for i, n := range then.Counts {
		now.Counts[i] -= n
	}
	return histogram{hdrhistogram.Import(now)}
}

// at returns a latency that the share q of all requests did not exceed.
func (h histogram) at(q float64) time.Duration {
	if h.h == nil || h.h.TotalCount() == 0 {
		return 0
	}
	return time.Duration(h.h.ValueAtQuantile(100*q)) * time.Microsecond
}
