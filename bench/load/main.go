// Command load measures the load gate beside hey, at the same rate of requests,
// and beside wrk, with as many users who ask as soon as they are answered. All
// of them ask the same server, whose answers take times of a known spread, turn
// by turn on one machine. What is compared are percentiles of one round.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/shiplock/shiplock/bench/measure"
)

type options struct {
	rounds int
	rate   int
	users  int
	length time.Duration
	output measure.Output
	serve  bool
}

func main() { measure.Main("load", run) }

func parse(args []string, errOut io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.IntVar(&o.rounds, "rounds", 5, "measure so `many` interleaved rounds")
	f.IntVar(&o.rate, "rate", 200, "offer so many `requests` a second, a multiple of 50")
	f.IntVar(&o.users, "users", 16, "and then have so `many` users ask without a pause")
	f.DurationVar(&o.length, "for", 20*time.Second, "load for so `long` each time")
	f.BoolVar(&o.serve, "serve", false, "be the server that is asked; used by this program itself")
	o.output.Flags(f)
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.rounds < 1 || o.rate < heyWorkers || o.rate%heyWorkers != 0 || o.users < 1 || o.length < time.Second || !o.output.OK() || f.NArg() > 0 {
		return o, fmt.Errorf("want -rounds and -users above 0, -rate a multiple of %d, -for of a second or more, -o text or json, and no arguments", heyWorkers)
	}
	return o, nil
}

func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	if o.serve {
		return serve(ctx, out)
	}
	s, err := start(ctx)
	if err != nil {
		return err
	}
	r, err := measureAll(ctx, o, s.url, errOut)
	if err := errors.Join(err, s.stop()); err != nil {
		return err
	}
	return o.output.Write(out, "load", r)
}

// measureAll measures in rounds; who goes first changes every round.
func measureAll(ctx context.Context, o options, url string, errOut io.Writer) (*report, error) {
	r := newReport(o)
	ways := []struct {
		to        *against
		us, other func(context.Context) (percentiles, error)
	}{
		{&r.Rate, func(ctx context.Context) (percentiles, error) { return gateAtRate(ctx, url, o) }, func(ctx context.Context) (percentiles, error) { return hey(ctx, url, o) }},
		{&r.Users, func(ctx context.Context) (percentiles, error) { return gateOfUsers(ctx, url, o) }, func(ctx context.Context) (percentiles, error) { return wrk(ctx, url, o) }},
	}
	for round := range o.rounds {
		for _, way := range ways {
			turns := []func(context.Context) (percentiles, error){way.us, way.other}
			var found [2]percentiles
			for i := range turns {
				who := (i + round) % 2
				var err error
				if found[who], err = turns[who](ctx); err != nil {
					return nil, err
				}
			}
			way.to.add(found[0], found[1])
			fmt.Fprintf(errOut, "round %d beside %s: %s, and %s\n", round+1, way.to.Name, found[0], found[1])
		}
	}
	return r, nil
}
