package analysis_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/shiplock/shiplock/internal/analysis"
)

func TestStraightFailuresHaveTheGoldenEvidence(t *testing.T) {
	tests := []struct {
		p0   float64
		want [3]float64
	}{
		{0.01, [3]float64{32, 2364, 207182}},
		{0.05, [3]float64{10, 144, 2503}},
	}
	for _, tt := range tests {
		for k, want := range tt.want {
			if got := math.Round(analysis.Worse(int64(k+1), int64(k+1), tt.p0)); got != want {
				t.Errorf("%d straight failures at p0=%g: E is %.0f, want %.0f", k+1, tt.p0, got, want)
			}
		}
	}
}

func TestHealthIsProvenAfterAsManyGoodRequestsAsComputed(t *testing.T) {
	if analysis.Better(0, 368, 0.01) >= 20 || analysis.Better(0, 369, 0.01) < 20 {
		t.Errorf("E of 368 and 369 good requests against 1 %%: %.3f and %.3f, want 20 in between", analysis.Better(0, 368, 0.01), analysis.Better(0, 369, 0.01))
	}
	if analysis.Better(0, 72, 0.05) >= 20 || analysis.Better(0, 73, 0.05) < 20 {
		t.Errorf("E of 72 and 73 quick requests against 5 %%: %.3f and %.3f, want 20 in between", analysis.Better(0, 72, 0.05), analysis.Better(0, 73, 0.05))
	}
}

func TestIntervalsOfRatesAreTheComputed(t *testing.T) {
	tests := []struct {
		s, n      int64
		low, high float64
	}{
		{0, 100, 0, 4.4},
		{5, 1000, 0.07, 1.56},
		{50, 10000, 0.30, 0.77},
	}
	for _, tt := range tests {
		i := analysis.RateInterval(tt.s, tt.n, 0.95)
		if math.Abs(i.Low*100-tt.low) > 0.006 || math.Abs(i.High*100-tt.high) > 0.05 {
			t.Errorf("%d of %d: %.3f %% to %.3f %%, want %g %% to %g %%", tt.s, tt.n, i.Low*100, i.High*100, tt.low, tt.high)
		}
	}
}

func TestUpperBoundsOfRatesAreThoseOfClopperAndPearson(t *testing.T) {
	tests := []struct {
		s, n      int64
		u95, u999 float64
	}{
		{0, 1000, 0.30, 0.69},
		{5, 1000, 1.05, 1.64},
		{50, 10000, 0.63, 0.76},
		{500, 100000, 0.54, 0.57},
	}
	for _, tt := range tests {
		a, b := analysis.UpperRate(tt.s, tt.n, 0.05)*100, analysis.UpperRate(tt.s, tt.n, 0.001)*100
		if math.Abs(a-tt.u95) > 0.006 || math.Abs(b-tt.u999) > 0.006 {
			t.Errorf("%d of %d: %.3f %% and %.3f %%, want %g %% and %g %%", tt.s, tt.n, a, b, tt.u95, tt.u999)
		}
	}
}

// TestEvidenceAgainstAGoodReleaseDoesNotGrowOnAverage is the property that all
// promises rest on: under "at most p0" the mean of E is at most 1, at any time.
// It is exact: the mean is summed over all outcomes.
func TestEvidenceAgainstAGoodReleaseDoesNotGrowOnAverage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p0 := rapid.Float64Range(0.0005, 0.6).Draw(t, "p0")
		n := rapid.Int64Range(1, 400).Draw(t, "n")
		ratio := rapid.Float64Range(0, 1).Draw(t, "ratio")
		if mean := meanOf(n, p0*ratio, func(s int64) float64 { return analysis.Worse(s, n, p0) }); mean > 1+1e-9 {
			t.Errorf("the mean of E after %d trials of chance %g, against %g, is %g", n, p0*ratio, p0, mean)
		}
		p := p0 + (1-p0)*ratio
		if mean := meanOf(n, p, func(s int64) float64 { return analysis.Better(s, n, p0) }); mean > 1+1e-9 {
			t.Errorf("the mean of E for health after %d trials of chance %g, against %g, is %g", n, p, p0, mean)
		}
	})
}

// meanOf returns the mean of f over the events in n trials of chance p.
func meanOf(n int64, p float64, f func(int64) float64) float64 {
	mean := 0.0
	for s := range n + 1 {
		choose := lgamma(n+1) - lgamma(s+1) - lgamma(n-s+1)
		chance := math.Exp(choose + float64(s)*math.Log(p) + float64(n-s)*math.Log1p(-p))
		if p == 0 || p == 1 {
			chance = 0
			if s == n*int64(p) {
				chance = 1
			}
		}
		mean += chance * f(s)
	}
	return mean
}

func lgamma(n int64) float64 {
	l, _ := math.Lgamma(float64(n))
	return l
}
