// Command backfill measures what writers notice while a column of a table is
// filled: by one UPDATE, by batches of 1 000 rows, and by the product's own
// backfill, on a PostgreSQL of its own and under the same constant load. It
// knows the three ways and the load; how batches are sized is the product's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/shiplock/shiplock/bench/measure"
	"github.com/shiplock/shiplock/internal/testneed"
)

type options struct {
	rows    int
	rate    int
	writers int
	before  time.Duration
	output  measure.Output
}

func main() { measure.Main("backfill", run) }

func parse(args []string, errOut io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("backfill", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.IntVar(&o.rows, "rows", 200_000, "`rows` of the table; 5000000 for the result that counts")
	f.IntVar(&o.rate, "rate", 500, "`writes` a second that the load asks for")
	f.IntVar(&o.writers, "writers", 8, "`connections` of the load")
	f.DurationVar(&o.before, "before", 5*time.Second, "load alone for so `long` before each way")
	o.output.Flags(f)
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.rows < 1000 || o.rate < 1 || o.writers < 1 || o.before < time.Second || !o.output.OK() || f.NArg() > 0 {
		return o, errors.New("want -rows from 1000, -rate and -writers above 0, -before from 1s, -o text or json, and no arguments")
	}
	return o, nil
}

func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	return measure.InFolder(func(dir string) (err error) {
		server, err := testneed.StartPostgres(dir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.Stop()) }()
		r := report{Rows: o.rows, Rate: o.rate, Writers: o.writers}
		for _, w := range ways() {
			m, err := measureWay(ctx, o, server.URL, w)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			fmt.Fprintf(errOut, "%s: %.0f rows/s\n", w.name, m.RowsPerSecond)
			r.Ways = append(r.Ways, m)
		}
		return o.output.Write(out, "backfill", r)
	})
}

// A report has a line for each way.
type report struct {
	Rows    int        `json:"rows"`
	Rate    int        `json:"rate"`
	Writers int        `json:"writers"`
	Ways    []measured `json:"ways"`
}

type measured struct {
	Name          string  `json:"name"`
	Seconds       float64 `json:"seconds"`
	RowsPerSecond float64 `json:"rows_per_second"`
	Before        load    `json:"before"`
	During        load    `json:"during"`
}

// Markdown implements [measure.Report].
func (r report) Markdown(w io.Writer) error {
	fmt.Fprintf(w, "%d rows, a load of %d writes a second over %d connections that change one row each. A write is late from when it was due.\n\n", r.Rows, r.Rate, r.Writers)
	fmt.Fprintln(w, "| way | rows/s | took | writers' p99 before | p99 during | longest | writes/s before | during | ratio |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, m := range r.Ways {
		fmt.Fprintf(w, "| %s | %.0f | %.1f s | %.1f ms | %.1f ms | %.0f ms | %.0f | %.0f | %.2f |\n", m.Name, m.RowsPerSecond, m.Seconds,
			m.Before.P99, m.During.P99, m.During.Longest, m.Before.Rate, m.During.Rate, m.During.Rate/m.Before.Rate)
	}
	return nil
}
