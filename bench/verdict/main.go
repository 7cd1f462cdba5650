// Command verdict shows by simulation how soon a bad release is rolled back,
// how many requests it fails until then, and how often a good one is rolled
// back by mistake: by the product's own evaluator, and by the rules that other
// tools evaluate at intervals. Same seed, same table. It knows chances and
// rules; it starts nothing and measures no clock.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/shiplock/shiplock/bench/measure"
)

type options struct {
	runs   int
	seed   uint64
	output measure.Output
}

func main() { measure.Main("verdict", run) }

func parse(args []string, errOut io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("verdict", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.IntVar(&o.runs, "runs", 1000, "simulate each case so `many` times")
	f.Uint64Var(&o.seed, "seed", 1, "`number` the cases begin with")
	o.output.Flags(f)
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.runs < 1 || !o.output.OK() || f.NArg() > 0 {
		return o, errors.New("want -runs above 0, -o text or json, and no arguments")
	}
	return o, nil
}

func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	r, err := simulateAll(ctx, o, func(done string) { fmt.Fprintln(errOut, done) })
	if err != nil {
		return err
	}
	return o.output.Write(out, "verdict", r)
}
