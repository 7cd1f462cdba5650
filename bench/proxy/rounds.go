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

// backendName is the backend's, which is loaded without a proxy, too.
const backendName = "backend"

// measure loads the proxies turn by turn, until there are enough rounds that
// others did not disturb. Who goes first changes every round.
func (c *chain) measure(ctx context.Context, o options, progress io.Writer) (*report, error) {
	var names []string
	for _, p := range c.peers {
		names = append(names, p.name)
	}
	names = append(names, shiplock)
	r := newReport(o, names)
	for _, name := range names { // not counted: connections and buffers are made
		if _, err := wrk(ctx, c.addresses()[name], o.connections, time.Second); err != nil {
			return r, err
		}
	}
	for try := range o.rounds * triesPerRound {
		if r.Rounds == o.rounds {
			break
		}
		loaded, quiet, err := c.turns(ctx, o, try, o.connections, names)
		if err != nil {
			return r, err
		}
		var alone map[string]arrival
		if quiet {
			if alone, quiet, err = c.turns(ctx, o, try, 1, append([]string{backendName}, names...)); err != nil {
				return r, err
			}
		}
		if !quiet {
			r.Dropped++
			continue
		}
		r.add(loaded, alone)
		fmt.Fprintf(progress, "round %d of %d\n", r.Rounds, o.rounds)
	}
	if r.Rounds == 0 {
		return r, fmt.Errorf("in none of %d rounds did others have less than %.0f %% of the machine; -foreign 1 measures nevertheless", r.Dropped, o.foreign*100)
	}
	return r, nil
}

// turns loads each once, in turning order. It ends early when others were not
// quiet.
func (c *chain) turns(ctx context.Context, o options, try, connections int, names []string) (all map[string]arrival, quiet bool, err error) {
	order := slices.Concat(names[try%len(names):], names[:try%len(names)])
	all = map[string]arrival{}
	for _, name := range order {
		a, err := c.turn(ctx, c.addresses()[name], connections, o.length)
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", name, err)
		}
		if a.foreign > o.foreign {
			return nil, false, nil
		}
		all[name] = a
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
