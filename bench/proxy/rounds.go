package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// triesPerRound is how often, on average, a round may be begun.
const triesPerRound = 5

// measure loads the proxies turn by turn, until there are enough rounds that
// others did not disturb. Who goes first changes every round.
func (c *chain) measure(ctx context.Context, o options, progress io.Writer) (report, error) {
	r := newReport(o)
	for _, address := range []string{c.nginx, c.shiplock} { // not counted: connections and buffers are made
		if _, err := wrk(ctx, address, o.connections, time.Second); err != nil {
			return r, err
		}
	}
	for try := range o.rounds * triesPerRound {
		if r.Rounds == o.rounds {
			break
		}
		loaded, quiet, err := c.turns(ctx, o, try, o.connections, c.nginx, c.shiplock)
		if err != nil {
			return r, err
		}
		var alone map[string]arrival
		if quiet {
			if alone, quiet, err = c.turns(ctx, o, try, 1, c.backend, c.nginx, c.shiplock); err != nil {
				return r, err
			}
		}
		if !quiet {
			r.Dropped++
			continue
		}
		r.add(loaded[c.nginx], loaded[c.shiplock])
		r.addAlone(alone[c.backend], alone[c.nginx], alone[c.shiplock])
		fmt.Fprintf(progress, "round %d of %d\n", r.Rounds, o.rounds)
	}
	if r.Rounds == 0 {
		return r, fmt.Errorf("in none of %d rounds did others have less than %.0f %% of the machine; -foreign 1 measures nevertheless", r.Dropped, o.foreign*100)
	}
	return r, nil
}

// turns loads each address once, in turning order. It ends early when others
// were not quiet.
func (c *chain) turns(ctx context.Context, o options, try, connections int, addresses ...string) (all map[string]arrival, quiet bool, err error) {
	order := slices.Clone(addresses)
	if try%2 == 1 {
		slices.Reverse(order)
	}
	all = map[string]arrival{}
	for _, address := range order {
		a, err := c.turn(ctx, address, connections, o.length)
		if err != nil || a.foreign > o.foreign {
			return nil, false, err
		}
		all[address] = a
	}
	return all, true, nil
}

// turn loads one address and looks who used the CPUs meanwhile.
func (c *chain) turn(ctx context.Context, address string, connections int, length time.Duration) (arrival, error) {
	before, err := c.usage()
	if err != nil {
		return arrival{}, err
	}
	begun := time.Now()
	a, err := wrk(ctx, address, connections, length)
	if err != nil {
		return a, err
	}
	after, err := c.usage()
	a.cpu = after.since(before)
	a.foreign = a.cpu.foreign(a.wrk, time.Since(begun))
	return a, err
}

func (r *report) add(nginx, ours arrival) {
	r.Rounds++
	r.Throughput = append(r.Throughput, ours.rate/nginx.rate)
	r.P50 = append(r.P50, float64(ours.p50)/float64(nginx.p50))
	r.P99 = append(r.P99, float64(ours.p99)/float64(nginx.p99))
	each := func(used time.Duration, a arrival) float64 { return float64(used) / float64(a.requests) }
	r.CPU = append(r.CPU, each(ours.cpu.shiplock, ours)/each(nginx.cpu.nginx, nginx))
	r.Foreign = append(r.Foreign, max(nginx.foreign, ours.foreign))
	r.RequestsSec[byNginx] = append(r.RequestsSec[byNginx], nginx.rate)
	r.RequestsSec[byShiplock] = append(r.RequestsSec[byShiplock], ours.rate)
}

func (r *report) addAlone(direct, nginx, ours arrival) {
	added := func(a arrival) float64 { return float64(a.p50-direct.p50) / float64(time.Microsecond) }
	r.AddedNginx = append(r.AddedNginx, added(nginx))
	r.AddedOurs = append(r.AddedOurs, added(ours))
}
