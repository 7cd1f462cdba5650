package main

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/shiplock/shiplock/internal/analysis/simulate"
	"github.com/shiplock/shiplock/internal/ship"
)

const (
	limit    = 0.01
	watchFor = 10 * time.Minute
)

// A method decides about one simulated release.
type method struct {
	Name string
	run  func(seed uint64, rate, fails float64) end
}

// end is how a simulated watch ended.
type end struct {
	back   bool
	took   time.Duration
	failed int64
}

// methods are ours and those of others, modelled in their favour: a check takes
// no time, its data is there at once, and it acts at once.
func methods() []method {
	return []method{
		{"shiplock", ours},
		{"Argo Rollouts, every 60s, failureLimit 3", interval(time.Minute, 4)},
		{"Argo Rollouts, every 60s, failureLimit 0 (default)", interval(time.Minute, 1)},
		{"Flagger, every 1m, threshold 5", interval(time.Minute, 5)},
		{"Flagger, every 30s, threshold 5", interval(30*time.Second, 5)},
		{"rate over the limit after 100 requests", naive(100)},
	}
}

func ours(seed uint64, rate, fails float64) end {
	r := simulate.Run(seed, simulate.Scenario{
		Limits: ship.Limits{For: watchFor, ErrorRate: limit, OnInconclusive: ship.PromoteAnyway}, Rate: rate, Fails: fails,
	})
	return end{r.Back(), r.Took, r.Failed}
}

// interval looks every so often at the error rate of the last minute, and goes
// back when it was over the limit so many times in all. A window without a
// request is no failure.
func interval(every time.Duration, times int) func(uint64, float64, float64) end {
	return func(seed uint64, rate, fails float64) end {
		r := rand.New(rand.NewPCG(seed, 0x1e57))
		var requests, errors []int64 // by check
		var all int64
		over := 0
		for at := every; at <= watchFor; at += every {
			n := poisson(r, rate*every.Seconds())
			s := binomial(r, n, fails)
			requests, errors, all = append(requests, n), append(errors, s), all+s
			first := max(0, len(requests)-int(time.Minute/every))
			if n, s := sum(requests[first:]), sum(errors[first:]); n > 0 && float64(s) > limit*float64(n) {
				over++
			}
			if over >= times {
				return end{true, at, all}
			}
		}
		return end{}
	}
}

// naive goes back as soon as the rate of all requests is over the limit, once
// there were enough.
func naive(least int64) func(uint64, float64, float64) end {
	return func(seed uint64, rate, fails float64) end {
		r := rand.New(rand.NewPCG(seed, 0xa1e))
		var n, s int64
		for at := 0.0; at < watchFor.Seconds(); at += r.ExpFloat64() / rate {
			n++
			if r.Float64() < fails {
				s++
			}
			if n >= least && float64(s) > limit*float64(n) {
				return end{true, time.Duration(at * float64(time.Second)), s}
			}
		}
		return end{}
	}
}

func sum(list []int64) (n int64) {
	for _, x := range list {
		n += x
	}
	return n
}

// poisson draws how many come in a time in which mean come on average.
func poisson(r *rand.Rand, mean float64) int64 {
	var n int64
	for t := r.ExpFloat64(); t < mean; t += r.ExpFloat64() {
		n++
	}
	return n
}

// binomial draws how many of n fail, by jumping from one to the next.
func binomial(r *rand.Rand, n int64, p float64) int64 {
	if p >= 1 {
		return n
	}
	var s int64
	for at := jump(r, p); at <= n; at += jump(r, p) {
		s++
	}
	return s
}

func jump(r *rand.Rand, p float64) int64 {
	return 1 + int64(math.Log(1-r.Float64())/math.Log1p(-p))
}
