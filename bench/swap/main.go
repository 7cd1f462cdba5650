// Command swap measures what swaps do to requests: a constant load of GET,
// POST, event streams and WebSockets on a node whose release is exchanged again
// and again, beside the same load with the same process starts and no swap. It
// runs the real program and real applications on this machine, and fails when
// a single answer was incomplete, a POST was lost or doubled, or a stream was
// cut in the middle of a message.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/shiplock/shiplock/bench/measure"
)

type options struct {
	rate      int           // requests a second
	streams   int           // of each kind
	swaps     int           // in each run
	length    time.Duration // of each run
	rounds    int           // each run is made in so many parts, in turns with the other
	drain     time.Duration
	longLived time.Duration
	keepAlive time.Duration // of the proxy's connections to the application
	output    measure.Output
	binary    string
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "app" {
		measure.Main("swap app", serve)
		return
	}
	measure.Main("swap", run)
}

func parse(args []string, errOut io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("swap", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.IntVar(&o.rate, "rate", 500, "send so `many` requests a second")
	f.IntVar(&o.streams, "streams", 20, "keep so `many` WebSockets and as many event streams open")
	f.IntVar(&o.swaps, "swaps", 100, "swap so `many` times")
	f.DurationVar(&o.length, "for", 10*time.Minute, "spread the swaps over that `time`")
	f.IntVar(&o.rounds, "rounds", 5, "do so in so `many` parts, in turns with parts without a swap")
	f.DurationVar(&o.drain, "drain", 10*time.Second, "requests under way get so `long` to end")
	f.DurationVar(&o.longLived, "long-lived-drain", 2*time.Second, "WebSockets and event streams get so `long` to end")
	f.DurationVar(&o.keepAlive, "keep-alive", 500*time.Millisecond, "the proxy keeps idle connections so `long`; the application closes them after 1s")
	o.output.Flags(f)
	f.StringVar(&o.binary, "shiplock", "", "measure this `program` instead of building one")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.rate < 1 || o.streams < 0 || o.rounds < 1 || o.swaps < o.rounds || o.length/time.Duration(max(o.swaps, 1)) < time.Second || !o.output.OK() || f.NArg() > 0 {
		return o, errors.New("want -rate above 0, a swap for each of the -rounds, a second for each swap at least, -o text or json, and no arguments")
	}
	return o, nil
}

func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	return measure.InFolder(func(dir string) (err error) {
		m, err := prepare(ctx, o, dir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, m.stop(context.WithoutCancel(ctx))) }()
		if err := m.up(ctx); err != nil {
			return err
		}
		r := report{Machine: measure.ThisMachine(), Rate: o.rate, Streams: o.streams, For: o.length}
		courses := []*course{newCourse(o, m, false), newCourse(o, m, true)}
		for round := range o.rounds {
			for i := range courses {
				c := courses[(round+i)%2]
				fmt.Fprintf(errOut, "round %d: %s\n", round+1, c.result.Name)
				if err := c.run(ctx); err != nil {
					return err
				}
			}
		}
		for _, c := range courses {
			if err := c.evaluate(); err != nil {
				return err
			}
			r.Courses = append(r.Courses, c.result)
		}
		return errors.Join(o.output.Write(out, "swap", r), r.verdict())
	})
}
