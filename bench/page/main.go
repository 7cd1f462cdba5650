// Command page makes docs/benchmarks.md of what the benchmarks left in a
// folder. It knows what each one is about; it measures nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/shiplock/shiplock/bench/measure"
)

// A section is what the page says of a benchmark, before its tables.
type section struct{ name, title, text string }

func sections() []section {
	return []section{
		{
			"proxy", "The proxy beside nginx, HAProxy and Caddy",
			"All before the same backend (nginx, one worker, an answer of 11 bytes), each with kept-alive connections to it and the headers that an application needs. " +
				"Everything, `wrk` and the backend included, runs on the same cores. Ratios are formed within a round.",
		},
		{"connections", "Memory at many connections", "What the proxy worker holds in memory with so many client connections that are idle, and with so many requests under way."},
		{
			"swap", "Swaps under load",
			"Requests of every kind go on while releases are swapped; the control run starts the same processes and swaps nothing.",
		},
		{"verdict", "How soon a bad release is noticed", "By simulation through the product's own evaluator, beside the rules that other tools use."},
		{"load", "The load gate beside hey and wrk", "All ask the same server, whose answers take 5 ms and beyond that a time of an exponential spread around 15 ms. What is shown are ratios of what they measured in one round."},
		{"deploy", "What a deployment costs", "Beside `zip`, `unzip` and `sha256sum` of the same tree in the same round."},
		{"backfill", "Backfills beside writers", "One column of a table is filled in three ways, under the same constant load."},
	}
}

func main() { measure.Main("page", run) }

func run(_ context.Context, args []string, out, errOut io.Writer) error {
	f := flag.NewFlagSet("page", flag.ContinueOnError)
	f.SetOutput(errOut)
	from := f.String("from", "bench/results", "the `folder` that the benchmarks wrote to with -keep")
	to := f.String("to", "docs/benchmarks.md", "the `file` to write")
	if err := f.Parse(args); err != nil {
		return err
	}
	text, err := page(os.DirFS(*from))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(*to), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(*to, []byte(text), 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, *to)
	return err
}

// page returns the page. A benchmark that left nothing is said to be missing.
func page(results fs.FS) (string, error) {
	var b strings.Builder
	b.WriteString("# Benchmarks\n\nMade by `make bench`, which runs each and writes this page; every single number is in [bench/results](../bench/results). " +
		"Numbers belong to the machine and the hour they were measured in: only what stands in one table may be compared. " +
		"[Measurements](measurements.md) explains how each is made and what it does not show, and has the [linter](measurements.md#lint) beside a real server.\n")
	found := 0
	for _, s := range sections() {
		fmt.Fprintf(&b, "\n## %s\n\n    go run ./bench/%s\n\n%s\n\n", s.title, s.name, s.text)
		text, err := fs.ReadFile(results, s.name+".md")
		switch {
		case errors.Is(err, fs.ErrNotExist):
			b.WriteString("Not measured yet.\n")
		case err != nil:
			return "", err
		default:
			found++
			b.WriteString(deeper(strings.TrimSpace(string(text))) + "\n")
		}
	}
	if found == 0 {
		return "", errors.New("no benchmark left a result; run them with -keep bench/results, or all with: make bench")
	}
	return b.String(), nil
}

// deeper moves headings below that of the section.
func deeper(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "###") {
			line = "###" + strings.TrimLeft(line, "#")
		}
		b.WriteString(line)
	}
	return b.String()
}
