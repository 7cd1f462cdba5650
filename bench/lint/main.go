// Command lint executes operations on a real PostgreSQL server, measures what
// each does (locks, rewrites, scans, statements of an old release that fail),
// and compares that with what `shiplock lint` says of it, and squawk where its
// binary is named. It knows nothing of the rules: it asks the linter as anybody
// would.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
)

//go:embed base.sql cases.txt
var files embed.FS

// read returns a file that is part of the program.
func read(name string) string {
	data, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it was there when the program was built
	}
	return string(data)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "lint:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	f := flag.NewFlagSet("lint", flag.ContinueOnError)
	f.SetOutput(errOut)
	url := f.String("url", "", "superuser `URL` of a PostgreSQL server that may be filled with databases")
	squawk := f.String("squawk", "", "`path` of squawk's binary, to put it beside")
	speed := f.Int("speed", 0, "also lint so `many` files, beside squawk")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *speed > 0 {
		return race(ctx, out, *speed, *squawk)
	}
	if *url == "" {
		return errors.New("name a server with -url")
	}
	all, version, err := measureAll(ctx, *url, list())
	if err != nil {
		return err
	}
	if err := judge(all, version); err != nil {
		return err
	}
	if *squawk != "" {
		if err := judgeSquawk(ctx, *squawk, all, version); err != nil {
			return err
		}
	}
	_, err = io.WriteString(out, table(all, version, *squawk != ""))
	return err
}

// list returns the cases, a statement each.
func list() []string {
	var all []string
	for line := range strings.Lines(read("cases.txt")) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}
