package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/analysis/simulate"
	"github.com/shiplock/shiplock/internal/ship"
)

// result is all that was simulated.
type result struct {
	Runs    int     `json:"runs"`
	Seed    uint64  `json:"seed"`
	Rules   []cell  `json:"rules"`
	Ours    []sight `json:"ours"`
	Mistake []wrong `json:"mistakes"`
}

// cell is a method at a rate of requests and a chance of errors.
type cell struct {
	Method  string        `json:"method"`
	Rate    float64       `json:"requests_a_second"`
	Fails   float64       `json:"fails"`
	Back    float64       `json:"rolled_back"` // share
	Seconds float64       `json:"median_seconds"`
	P95     time.Duration `json:"p95"`
	Failed  int64         `json:"median_failed"`
}

// sight is how many requests our evaluator needs.
type sight struct {
	What       string  `json:"what"`
	Back       float64 `json:"rolled_back"`
	Requests   int64   `json:"median_requests"`
	P95        int64   `json:"p95_requests"`
	Failed     int64   `json:"median_failed"`
	P95Failed  int64   `json:"p95_failed"`
	MostFailed int64   `json:"most_failed"`
}

// wrong is how often our evaluator rolls back a release that keeps its limit.
type wrong struct {
	What string  `json:"what"`
	Back float64 `json:"rolled_back"`
}

// simulateAll simulates every case, unless ctx ends.
func simulateAll(ctx context.Context, o options, done func(string)) (result, error) {
	r := result{Runs: o.runs, Seed: o.seed}
	for _, rate := range []float64{1, 10, 100} {
		for _, m := range methods() {
			for _, fails := range []float64{0.005, 0.008, 0.02, 0.05, 0.2, 1} {
				if err := ctx.Err(); err != nil {
					return r, err
				}
				r.Rules = append(r.Rules, cellOf(o, m, rate, fails))
			}
			done(fmt.Sprintf("%s at %g requests/s", m.Name, rate))
		}
	}
	good := sights()
	for i, s := range slices.Concat(good, mistakes()) {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		found := sightOf(o, s.what, s.sc)
		if i < len(good) {
			r.Ours = append(r.Ours, found)
		} else {
			r.Mistake = append(r.Mistake, wrong{s.what, found.Back})
		}
		done(s.what)
	}
	return r, nil
}

func cellOf(o options, m method, rate, fails float64) cell {
	var took []time.Duration
	var failed []int64
	for i := range o.runs {
		if e := m.run(o.seed+uint64(i), rate, fails); e.back {
			took, failed = append(took, e.took), append(failed, e.failed)
		}
	}
	return cell{
		Method: m.Name, Rate: rate, Fails: fails, Back: float64(len(took)) / float64(o.runs),
		Seconds: quantile(took, 0.5).Seconds(), P95: quantile(took, 0.95), Failed: quantile(failed, 0.5),
	}
}

type scenario struct {
	what string
	sc   simulate.Scenario
}

func limits(long time.Duration) ship.Limits {
	return ship.Limits{For: long, ErrorRate: limit, OnInconclusive: ship.PromoteAnyway}
}

// sights are the releases that have to be found out.
func sights() []scenario {
	var all []scenario
	for _, fails := range []float64{0.02, 0.05, 0.2, 1} {
		name := fmt.Sprintf("%g %% fail", fails*100)
		all = append(all,
			scenario{name, simulate.Scenario{Limits: limits(time.Hour), Rate: 100, Fails: fails}},
			scenario{name + ", all from one address", simulate.Scenario{Limits: limits(time.Hour), Rate: 100, Fails: fails, Clients: 1}},
			scenario{name + ", from 1 000 clients", simulate.Scenario{Limits: limits(time.Hour), Rate: 100, Fails: fails, Clients: 1000}})
	}
	for _, good := range []int64{1000, 10_000, 100_000} {
		all = append(all, scenario{
			fmt.Sprintf("5 %% fail after %d requests of which 0.5 %% did", good),
			simulate.Scenario{Limits: limits(2 * time.Hour), Rate: 100, Good: good, Fine: 0.005, Fails: 0.05},
		})
	}
	for _, share := range []float64{0.1, 0.5} {
		for _, fails := range []float64{0.05, 0.2, 1} {
			all = append(all, scenario{
				fmt.Sprintf("%g %% fail on %g %% of the traffic, 0.2 %% on the rest", fails*100, share*100),
				simulate.Scenario{Limits: limits(time.Hour), Rate: 100, Share: share, Fails: fails, Old: 0.002},
			})
		}
	}
	slow := limits(time.Hour)
	slow.P95, slow.ErrorRate, slow.Warmup = time.Second, 0, time.Millisecond
	for _, share := range []float64{0.1, 0.2, 1} {
		all = append(all, scenario{
			fmt.Sprintf("%g %% are slower than the limit of p95", share*100), simulate.Scenario{Limits: slow, Rate: 100, Slow: share},
		})
	}
	return all
}

// mistakes are the releases that keep the limit, or are not to blame.
func mistakes() []scenario {
	of := func(what string, sc simulate.Scenario) scenario {
		sc.Limits, sc.Rate = limits(watchFor), 100
		return scenario{what, sc}
	}
	return []scenario{
		of("0.5 % fail", simulate.Scenario{Fails: 0.005}),
		of("0.8 % fail", simulate.Scenario{Fails: 0.008}),
		of("1 % fail, exactly the limit", simulate.Scenario{Fails: 0.01}),
		of("0.5 % fail in bursts of 10, each of one of 1 000 clients", simulate.Scenario{Fails: 0.005, Burst: 10, Clients: 1000}),
		of("0.5 % fail in bursts of 30, each of one of 1 000 clients", simulate.Scenario{Fails: 0.005, Burst: 30, Clients: 1000}),
		of("0.8 % fail in bursts of 3, each of one of 1 000 clients", simulate.Scenario{Fails: 0.008, Burst: 3, Clients: 1000}),
		of("0.5 % fail in bursts of 10, of one client that is all there is", simulate.Scenario{Fails: 0.005, Burst: 10, Clients: 1}),
		of("30 % fail on both releases for 30 s, half of the traffic each", simulate.Scenario{
			Fails: 0.002, Old: 0.002, Share: 0.5, Outage: simulate.Outage{From: 20 * time.Second, For: 30 * time.Second, Fails: 0.3},
		}),
	}
}

func sightOf(o options, what string, sc simulate.Scenario) sight {
	var requests, failed []int64
	for i := range o.runs {
		if r := simulate.Run(o.seed+uint64(i), sc); r.Back() {
			requests, failed = append(requests, r.Requests), append(failed, r.Failed)
		}
	}
	s := sight{
		What: what, Back: float64(len(requests)) / float64(o.runs), Requests: quantile(requests, 0.5), P95: quantile(requests, 0.95),
		Failed: quantile(failed, 0.5), P95Failed: quantile(failed, 0.95),
	}
	if len(failed) > 0 {
		s.MostFailed = slices.Max(failed)
	}
	return s
}

func quantile[T int64 | time.Duration](list []T, q float64) T {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(int(q*float64(len(list))), len(list)-1)]
}

// Markdown writes the tables.
func (r result) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Each case %d times, seed %d.\n", r.Runs, r.Seed)
	for _, rate := range []float64{1, 10, 100} {
		r.rules(&b, rate)
	}
	b.WriteString("\n| our evaluator, 100 requests a second | requests until rollback, median | 95 of 100 | failed until then, median | 95 of 100 | most |\n| --- | ---: | ---: | ---: | ---: | ---: |\n")
	for _, s := range r.Ours {
		what := s.What
		if s.Back < 1 {
			what += fmt.Sprintf(" (found in %s)", percent(s.Back))
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d |\n", what, s.Requests, s.P95, s.Failed, s.P95Failed, s.MostFailed)
	}
	b.WriteString("\n| our evaluator, 10 minutes of 100 requests a second | rolled back |\n| --- | ---: |\n")
	for _, w := range r.Mistake {
		fmt.Fprintf(&b, "| %s | %s |\n", w.What, percent(w.Back))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r result) rules(b *strings.Builder, rate float64) {
	fmt.Fprintf(b, "\n| %g requests a second, limit 1 %% | wrong at 0.5 %% | wrong at 0.8 %% | at 2 %% | at 5 %% | at 20 %% | at 100 %% |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |", rate)
	name := ""
	for _, c := range r.Rules {
		if c.Rate != rate {
			continue
		}
		if c.Method != name {
			name = c.Method
			fmt.Fprintf(b, "\n| %s |", name)
		}
		switch {
		case c.Fails < limit:
			fmt.Fprintf(b, " %s |", percent(c.Back))
		case c.Back < 0.5:
			fmt.Fprintf(b, " missed in %s |", percent(1-c.Back))
		case c.Back < 1:
			fmt.Fprintf(b, " %.3g s, %d failed; missed in %s |", c.Seconds, c.Failed, percent(1-c.Back))
		default:
			fmt.Fprintf(b, " %.3g s, %d failed |", c.Seconds, c.Failed)
		}
	}
	b.WriteString("\n")
}

func percent(share float64) string {
	text := fmt.Sprintf("%.2f", share*100)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".") + " %"
}
