package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// A course is the load for a time, with swaps or with none. It is carried out
// in parts.
type course struct {
	m      *machine
	swap   bool
	length time.Duration // of a part
	turns  int           // in a part
	load   *load
	crowd  *crowd
	crowds int
	result result
}

func newCourse(o options, m *machine, swap bool) *course {
	c := &course{m: m, swap: swap, length: o.length / time.Duration(o.rounds), turns: o.swaps / o.rounds, crowds: o.streams, crowd: &crowd{address: m.listen}}
	c.result.Name = "starts and no swap"
	if swap {
		c.result.Name = "swaps"
	}
	c.load = newLoad(m.listen, o.rate, map[bool]string{false: "control", true: "swapped"}[swap])
	return c
}

// run carries out one part.
func (c *course) run(ctx context.Context) error {
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { c.load.run(loading) })
	wg.Go(func() { c.crowd.run(loading, c.crowds) })
	err := c.exchanges(ctx)
	stop()
	wg.Wait()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, strings.Join(append(c.load.failures, c.crowd.cut...), "\n"))
	}
	return nil
}

// exchanges makes the turns, evenly over the length of the course.
func (c *course) exchanges(ctx context.Context) error {
	begun := time.Now()
	for n := range c.turns {
		if !pause(ctx, time.Until(begun.Add(time.Duration(n)*c.length/time.Duration(c.turns)))) {
			return ctx.Err()
		}
		r, err := c.m.exchange(ctx, c.swap)
		if err != nil {
			return fmt.Errorf("turn %d: %w", n+1, err)
		}
		c.result.Turns++
		if r != nil {
			c.result.add(*r)
		}
	}
	pause(ctx, time.Until(begun.Add(c.length)))
	return ctx.Err()
}

// evaluate compares what the clients sent with what the applications got.
func (c *course) evaluate() error {
	r, l := &c.result, c.load
	r.Requests, r.Incomplete, r.Retried = len(l.took)+l.failed, l.failed, int(l.retried.Load())
	r.Failures = append(slices.Clone(l.failures), c.crowd.cut...)
	r.Streams, r.Messages, r.Farewells, r.StreamsCut = c.crowd.opened, c.crowd.messages, c.crowd.farewell, len(c.crowd.cut)
	r.Orders = len(l.answered)
	got, err := c.m.taken(l.prefix)
	if err != nil {
		return err
	}
	for order := range l.answered {
		if got[order] == 0 {
			r.Lost++
		}
	}
	for _, n := range got {
		if n > 1 {
			r.Doubled++
		}
	}
	slices.Sort(l.took)
	for share, to := range map[float64]*float64{0.5: &r.P50, 0.95: &r.P95, 0.99: &r.P99, 1: &r.Max} {
		if len(l.took) > 0 {
			*to = float64(l.took[min(int(share*float64(len(l.took))), len(l.took)-1)]) / float64(time.Millisecond)
		}
	}
	return nil
}

// taken counts the orders that the applications wrote down.
func (m *machine) taken(prefix string) (map[string]int, error) {
	files, err := filepath.Glob(filepath.Join(m.orders, "orders-*"))
	if err != nil {
		return nil, err
	}
	got := map[string]int{}
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), prefix) {
				got[lines.Text()]++
			}
		}
		_ = f.Close()
		if err := lines.Err(); err != nil {
			return nil, err
		}
	}
	return got, nil
}

// add enters a receipt.
func (r *result) add(one ship.Receipt) {
	if r.Protocols == nil {
		r.Protocols = map[ship.Protocol]ship.Ending{}
	}
	for p, e := range one.Protocols {
		sum := r.Protocols[p]
		r.Protocols[p] = ship.Ending{Drained: sum.Drained + e.Drained, Closed: sum.Closed + e.Closed, Cut: sum.Cut + e.Cut}
	}
	r.LostByReceipt += one.Lost
	r.Drains = append(r.Drains, float64(one.Took)/float64(time.Millisecond))
}
