package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/pprof"

	"github.com/shiplock/shiplock/internal/proxy"
)

// profiledWorker is the life of a worker under the profiler. The code is the
// program's; only the process is ours.
func profiledWorker(ctx context.Context, o options) (err error) {
	f, err := os.Create(o.profile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return proxy.RunWorker(ctx, proxy.WorkerOptions{Dir: o.worker, Log: slog.New(slog.DiscardHandler)})
}
