package analysis_test

import (
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/ship"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestPlainLimitsJudgeWithASentence(t *testing.T) {
	limits := ship.Limits{For: time.Minute, ErrorRate: 0.01, P95: 2 * time.Second}
	good := analysis.Probes{Sent: 120, Healthy: 120}
	tests := []struct {
		name   string
		limits ship.Limits
		sample analysis.PlainSample
		after  time.Duration
		want   ship.Outcome
		says   string
	}{
		{
			"too many errors fail at once", limits,
			analysis.PlainSample{Requests: 203, Errors: 11},
			time.Second,
			ship.Fail, "11 of 203 requests failed (5.4 %), limit 1 %",
		},
		{
			"errors at the limit do not fail", limits,
			analysis.PlainSample{Requests: 200, Errors: 2, Probes: good},
			time.Minute,
			ship.Pass, "2 of 200 requests failed (1 %), limit 1 %",
		},
		{
			"few requests are no rate", limits,
			analysis.PlainSample{Requests: 19, Errors: 19},
			time.Second,
			ship.Wait, "19 of 19 requests failed",
		},
		{
			"a limit of requests of its own is honoured",
			ship.Limits{For: time.Minute, ErrorRate: 0.5, MinRequests: 3},
			analysis.PlainSample{Requests: 3, Errors: 2},
			time.Second, ship.Fail, "2 of 3 requests failed (66.7 %), limit 50 %",
		},
		{
			"slow answers fail", limits,
			analysis.PlainSample{Requests: 20, P95: 2100 * time.Millisecond},
			time.Second,
			ship.Fail, "the 95th percentile of latency is 2.1s over 20 requests, limit 2s",
		},
		{
			"an exit fails without any request", limits,
			analysis.PlainSample{Exits: []string{"web.1: exit code 1"}},
			0,
			ship.Fail, "an instance ended: web.1: exit code 1",
		},
		{
			"two failed probes are not yet three", limits,
			analysis.PlainSample{Probes: analysis.Probes{Sent: 9, Healthy: 7, Failing: 2}},
			time.Second,
			ship.Wait, "7 of 9 health checks were good",
		},
		{
			"three failed probes in a row fail", limits,
			analysis.PlainSample{Probes: analysis.Probes{Sent: 9, Healthy: 6, Failing: 3, Last: "status 500"}},
			time.Second,
			ship.Fail, "3 health checks in a row failed, the last one: status 500",
		},
		{
			"no requests are never a pass of a limit on requests", limits,
			analysis.PlainSample{Probes: good},
			time.Minute,
			ship.NoConclusion, "0 of the 20 needed were answered in 1m0s; 120 of 120 health checks were good",
		},
		{
			"health is evidence when only health is asked for",
			ship.Limits{For: time.Minute},
			analysis.PlainSample{Probes: good},
			time.Minute,
			ship.Pass, "120 of 120 health checks were good",
		},
		{
			"nothing seen is not a pass",
			ship.Limits{For: time.Minute},
			analysis.PlainSample{},
			time.Minute,
			ship.NoConclusion, "no evidence",
		},
		{
			"time left is told", limits,
			analysis.PlainSample{Requests: 1, P95: time.Millisecond},
			15 * time.Second,
			ship.Wait, "45s left",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.sample.At = began.Add(tt.after)
			got := analysis.NewPlain(tt.limits, began).Observe(tt.sample)
			if got.Outcome != tt.want || !strings.Contains(got.Reason, tt.says) {
				t.Errorf("got %s %q, want %s with %q", got.Outcome, got.Reason, tt.want, tt.says)
			}
		})
	}
}

func TestAVerdictStays(t *testing.T) {
	w := analysis.NewPlain(ship.Limits{For: time.Minute, ErrorRate: 0.01}, began)
	first := w.Observe(analysis.PlainSample{At: began, Requests: 20, Errors: 20})
	later := w.Observe(analysis.PlainSample{At: began.Add(time.Hour), Requests: 100000, Errors: 20})
	if first.Outcome != ship.Fail || later != first {
		t.Errorf("first %+v, later %+v", first, later)
	}
}
