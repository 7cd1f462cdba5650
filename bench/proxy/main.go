// Command proxy measures the proxy worker beside nginx: the same backend, the
// same load by wrk, turn by turn on one machine. Only ratios of one round mean
// anything. It runs the real program's worker process and hands it a table; it
// refuses to know how a request is forwarded.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/shiplock/shiplock/bench/measure"
)

type options struct {
	rounds      int
	connections int
	length      time.Duration
	foreign     float64
	output      measure.Output
	peers       []string
	binary      string
	profile     string
	worker      string
}

func main() { measure.Main("proxy", run) }

func parse(args []string, errOut io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("proxy", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.IntVar(&o.rounds, "rounds", 7, "measure so `many` interleaved rounds")
	f.IntVar(&o.connections, "connections", 64, "load with so `many` connections")
	f.DurationVar(&o.length, "for", 5*time.Second, "load for so `long` each time")
	f.Float64Var(&o.foreign, "foreign", 0.15, "drop rounds in which others had more than this `share` of the machine")
	o.output.Flags(f)
	beside := f.String("peers", "nginx,haproxy,caddy", "measure beside these `programs`; nginx always is one")
	f.StringVar(&o.binary, "shiplock", "", "measure this `program` instead of building one")
	f.StringVar(&o.profile, "profile", "", "load the proxy once and write its CPU profile to this `file`, instead")
	f.StringVar(&o.worker, "worker", "", "be the worker with control sockets in this `folder`; used by -profile")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.peers = strings.Split(*beside, ",")
	if o.rounds < 1 || o.connections < 1 || o.length < time.Second || !o.output.OK() || f.NArg() > 0 {
		return o, errors.New("want -rounds and -connections above 0, -for of a second or more, -o text or json, and no arguments")
	}
	return o, nil
}

func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	if o.worker != "" {
		return profiledWorker(ctx, o)
	}
	return measure.InFolder(func(dir string) (err error) {
		c, err := newChain(ctx, o, dir)
		defer func() { err = errors.Join(err, c.stop(context.WithoutCancel(ctx))) }()
		if err != nil {
			return err
		}
		if o.profile != "" {
			a, err := wrk(ctx, c.ours, o.connections, o.length)
			fmt.Fprintf(errOut, "%.0f requests a second while profiled\n", a.rate)
			return err
		}
		r, err := c.measure(ctx, o, errOut)
		if err != nil {
			return err
		}
		return o.output.Write(out, "proxy", r)
	})
}
