// Command verdict shows by simulation how soon a bad release is rolled back,
// how many requests it fails until then, and how often a good one is rolled
// back by mistake: by the product's own evaluator, and by the rules that other
// tools evaluate at intervals. Same seed, same table. It knows chances and
// rules; it starts nothing and measures no clock.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

type options struct {
	runs   int
	seed   uint64
	output string
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench/verdict:", err)
		os.Exit(1)
	}
}

func parse(args []string, errOut io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("verdict", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.IntVar(&o.runs, "runs", 1000, "simulate each case so `many` times")
	f.Uint64Var(&o.seed, "seed", 1, "`number` the cases begin with")
	f.StringVar(&o.output, "o", "text", "`format`: text, which is Markdown, or json")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.runs < 1 || o.output != "text" && o.output != "json" || f.NArg() > 0 {
		return o, errors.New("want -runs above 0, -o text or json, and no arguments")
	}
	return o, nil
}

func run(args []string, out, errOut io.Writer) error {
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	r := measure(o, func(done string) { fmt.Fprintln(errOut, done) })
	if o.output == "json" {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	_, err = io.WriteString(out, r.markdown())
	return err
}
