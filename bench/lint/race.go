package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// race lints many files with both programs, turn by turn, and gives the ratio
// of the medians.
func race(ctx context.Context, out io.Writer, n int, squawk string) error {
	dir, err := os.MkdirTemp("", "lint")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary := filepath.Join(dir, "shiplock")
	if text, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/shiplock").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, text)
	}
	all := list()
	files := make([]string, n)
	for i := range files {
		files[i] = filepath.Join(dir, fmt.Sprintf("%05d_case.sql", i))
		text := ""
		for j := range 5 {
			text += all[(i*5+j)%len(all)] + ";\n"
		}
		if err := os.WriteFile(files[i], []byte(text), 0o600); err != nil {
			return err
		}
	}
	var ours, theirs []sample
	for range 7 {
		s, err := once(ctx, binary, append([]string{"lint", "-o", "json"}, files...))
		if err != nil {
			return err
		}
		ours = append(ours, s)
		if squawk == "" {
			continue
		}
		if s, err = once(ctx, squawk, append([]string{"--reporter", "json"}, files...)); err != nil {
			return err
		}
		theirs = append(theirs, s)
	}
	a := median(ours)
	fmt.Fprintf(out, "shiplock lint: %d files in %v, %d MiB\n", n, a.took.Round(time.Millisecond), a.memory>>20)
	if squawk != "" {
		b := median(theirs)
		fmt.Fprintf(out, "squawk: %v, %d MiB\nratio of time %.2f, of memory %.2f\n", b.took.Round(time.Millisecond), b.memory>>20,
			float64(a.took)/float64(b.took), float64(a.memory)/float64(b.memory))
	}
	return nil
}

type sample struct {
	took   time.Duration
	memory int64
}

func once(ctx context.Context, path string, args []string) (sample, error) {
	c := exec.CommandContext(ctx, path, args...)
	begin := time.Now()
	_ = c.Run() // both end with a code when they find something
	took := time.Since(begin)
	if c.ProcessState == nil {
		return sample{}, fmt.Errorf("%s could not be started", path)
	}
	usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return sample{}, fmt.Errorf("nobody says how much memory %s took", path)
	}
	return sample{took, usage.Maxrss << 10}, nil
}

func median(all []sample) sample {
	best := sample{}
	for _, s := range all {
		slower := 0
		for _, o := range all {
			if o.took < s.took {
				slower++
			}
		}
		if slower == len(all)/2 {
			best = s
		}
	}
	return best
}
