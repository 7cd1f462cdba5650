package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A tool is a run of somebody else's program that is timed.
type tool struct {
	name string // as the report has it
	argv []string
}

// The names of the tools.
const (
	zipStored    = "zip -0"
	unzipStored  = "unzip"
	sumStored    = "sha256sum"
	syncStored   = "sync"
	zipDeflated  = "zip"
	unzipInflate = "unzip, inflating"
	sumDeflated  = "sha256sum, of less"
)

// sums returns what a deployment is compared to. Ours are stored archives, so
// that the first is the like for the like.
func sums() [][]string {
	return [][]string{
		{zipStored, unzipStored, sumStored},
		{zipStored, unzipStored, sumStored, syncStored},
		{zipDeflated, unzipInflate, sumDeflated},
	}
}

// tools packs, unpacks and sums a project's tree.
func (m *machine) tools(ctx context.Context, p *project) (laps []lap, err error) {
	work, err := os.MkdirTemp(m.dir, "tools-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	path := func(name string) string { return filepath.Join(work, name) }
	stored, err := timed(ctx, p.dir,
		tool{zipStored, []string{"zip", "-0", "-q", "-r", "-X", path("0.zip"), "."}},
		tool{unzipStored, []string{"unzip", "-q", path("0.zip"), "-d", path("0")}},
		tool{sumStored, []string{"sha256sum", path("0.zip")}},
		tool{syncStored, []string{"sync", "-f", path("0")}})
	if err != nil {
		return nil, err
	}
	syscall.Sync()
	deflated, err := timed(ctx, p.dir,
		tool{zipDeflated, []string{"zip", "-q", "-r", "-X", path("6.zip"), "."}},
		tool{unzipInflate, []string{"unzip", "-q", path("6.zip"), "-d", path("6")}},
		tool{sumDeflated, []string{"sha256sum", path("6.zip")}})
	return append(stored, deflated...), err
}

// timed runs the tools one after the other in dir.
func timed(ctx context.Context, dir string, tools ...tool) ([]lap, error) {
	var laps []lap
	for _, t := range tools {
		begun := time.Now()
		if _, err := output(ctx, dir, t.argv[0], t.argv[1:]...); err != nil {
			return nil, err
		}
		laps = append(laps, lap{t.name, time.Since(begun)})
	}
	return laps, nil
}
