package health

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	steadyOf    = 5                    // answers that are compared
	steadyRatio = 1.25                 // the slowest to the fastest of them
	steadyFloor = 5 * time.Millisecond // below that a difference says nothing
)

// Bounds end a warm-up that does not become steady.
type Bounds struct {
	Requests int           // to each path of each target; 0 is 50
	For      time.Duration // all in all; 0 is 10 s
}

// A Report is how a warm-up went.
type Report struct {
	Requests int
	Steady   bool          // every path of every target became steady
	First    time.Duration // the slowest first answer
	Last     time.Duration // the slowest last answer
	Took     time.Duration
	Problems []string // a sentence for each path that answered 400 or above, or not at all
}

// String returns the report as one sentence.
func (r Report) String() string {
	state := "steady"
	if !r.Steady {
		state = "not steady yet"
	}
	return fmt.Sprintf("%d requests in %s, first answer %s, last %s, %s", r.Requests,
		r.Took.Round(time.Millisecond), r.First.Round(time.Millisecond/10), r.Last.Round(time.Millisecond/10), state)
}

// Warm requests paths of every target, one at a time per target, until the
// last five latencies of each path are within 25 % (or 5 ms) of each other. It
// is a preparation and no check: problems are reported and end nothing.
func Warm(ctx context.Context, targets []Target, paths []string, b Bounds, progress func(string)) Report {
	if b.Requests <= 0 {
		b.Requests = 50
	}
	if b.For <= 0 {
		b.For = 10 * time.Second
	}
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, b.For)
	defer cancel()
	parts := make([]Report, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() { parts[i] = warmTarget(ctx, t, paths, b.Requests) })
	}
	wg.Wait()
	total := Report{Steady: true, Took: time.Since(begun)}
	for _, p := range parts {
		total.add(p)
	}
	if progress != nil {
		progress(total.String())
	}
	return total
}

func (r *Report) add(p Report) {
	r.Requests += p.Requests
	r.Steady = r.Steady && p.Steady
	r.First, r.Last = max(r.First, p.First), max(r.Last, p.Last)
	r.Problems = append(r.Problems, p.Problems...)
}

func warmTarget(ctx context.Context, t Target, paths []string, most int) Report {
	total := Report{Steady: true}
	for _, path := range paths {
		t.Path = path
		total.add(warmPath(ctx, t, most))
	}
	return total
}

func warmPath(ctx context.Context, t Target, most int) Report {
	var r Report
	var recent []time.Duration
	for r.Requests < most && !r.Steady && ctx.Err() == nil {
		res := Probe(ctx, t)
		if ctx.Err() != nil {
			break // cut short: its latency is not the application's
		}
		r.Requests++
		if res.Status == 0 || res.Status >= 400 {
			r.Problems = []string{fmt.Sprintf("warm-up of %s on %s: %s", t.Path, t.Address, res.Explain)}
			return r
		}
		if r.Requests == 1 {
			r.First = res.Latency
		}
		r.Last = res.Latency
		recent = append(recent, res.Latency)
		if len(recent) > steadyOf {
			recent = recent[1:]
		}
		r.Steady = len(recent) == steadyOf && steady(recent)
	}
	return r
}

func steady(latencies []time.Duration) bool {
	fastest, slowest := slices.Min(latencies), slices.Max(latencies)
	return slowest-fastest <= steadyFloor || float64(slowest) <= steadyRatio*float64(fastest)
}
