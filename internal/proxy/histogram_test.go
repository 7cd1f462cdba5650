package proxy_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shiplock/shiplock/internal/proxy"
)

func TestAQuantileIsAtMostAnEighthAboveTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "duration"))
		got := proxy.HistogramOf(d).Quantile(0.5)
		exact := d.Truncate(time.Microsecond)
		if got < exact || got > exact+exact/8 {
			t.Fatalf("%s became %s", d, got)
		}
	})
}

func TestQuantilesCountRanks(t *testing.T) {
	var all []time.Duration
	for ms := range 100 {
		all = append(all, time.Duration(ms+1)*time.Millisecond)
	}
	h := proxy.HistogramOf(all...)
	if p := h.Quantile(0.95); p < 95*time.Millisecond || p > 107*time.Millisecond {
		t.Errorf("the 95th of 1…100 ms is %s", p)
	}
	later := proxy.HistogramOf(append(all, time.Second)...)
	if d := later.Since(h); d.Count() != 1 || d.Quantile(0.5) < time.Second {
		t.Errorf("since then %d, of %s", d.Count(), d.Quantile(0.5))
	}
	if q := (proxy.Histogram{}).Quantile(0.95); q != 0 {
		t.Errorf("the quantile of nothing is %s", q)
	}
}
