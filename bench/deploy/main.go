// Command deploy measures what a deployment costs besides the application's
// own start: per step, as the journal has it, and beside zip, unzip and
// sha256sum of the same tree. It runs the real program on this machine. It
// knows the command line and what it prints; it refuses to know how a step is
// carried out.
package main

import (
	"context"
	"errors"
	"flag"
	"io"

	"github.com/shiplock/shiplock/bench/measure"
)

type options struct {
	rounds int
	files  int
	size   int64
	output measure.Output
	binary string
}

func main() { measure.Main("deploy", run) }

func parse(args []string, errOut io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("deploy", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.IntVar(&o.rounds, "rounds", 7, "measure so `many` interleaved rounds")
	f.IntVar(&o.files, "files", 2000, "the large tree has so `many` files besides the application")
	f.Int64Var(&o.size, "bytes", 50<<20, "the large tree has so many `bytes` in all")
	o.output.Flags(f)
	f.StringVar(&o.binary, "shiplock", "", "measure this `program` instead of building one")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.rounds < 1 || o.files < 1 || !o.output.OK() || f.NArg() > 0 {
		return o, errors.New("want -rounds and -files above 0, -o text or json, and no arguments")
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
		r, err := m.measure(ctx, o.rounds, errOut)
		if err != nil {
			return err
		}
		return o.output.Write(out, "deploy", r)
	})
}
