package main

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestIntervalRulesActAtTheirChecks(t *testing.T) {
	tests := []struct {
		rule func(uint64, float64, float64) end
		want time.Duration
	}{
		{interval(time.Minute, 4), 4 * time.Minute},
		{interval(time.Minute, 1), time.Minute},
		{interval(30*time.Second, 5), 150 * time.Second},
	}
	for _, tt := range tests {
		if e := tt.rule(1, 10, 1); !e.back || e.took != tt.want || math.Abs(float64(e.failed)-10*tt.want.Seconds()) > 250 {
			t.Errorf("with every request failing: %+v, want %s", e, tt.want)
		}
		if e := tt.rule(1, 10, 1e-9); e.back {
			t.Errorf("without any failure: %+v", e)
		}
	}
}

func TestDrawsHaveTheirMeans(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var n, s int64
	for range 2000 {
		n += poisson(r, 30)
		s += binomial(r, 1000, 0.02)
	}
	if math.Abs(float64(n)/2000-30) > 0.5 || math.Abs(float64(s)/2000-20) > 0.5 {
		t.Errorf("means %g and %g, want 30 and 20", float64(n)/2000, float64(s)/2000)
	}
}

func TestTheSameSeedGivesTheSameCell(t *testing.T) {
	o := options{runs: 20, seed: 7}
	for _, m := range methods() {
		if a, b := cellOf(o, m, 10, 0.05), cellOf(o, m, 10, 0.05); a != b {
			t.Errorf("%s: %+v and %+v", m.Name, a, b)
		}
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-runs", "0"}, &out, &out); err == nil {
		t.Error("no runs at all are accepted")
	}
}
