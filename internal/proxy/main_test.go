package proxy_test

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/shiplock/shiplock/internal/proxy"
)

// The test binary is also the worker and the supervisor that the process
// tests start and kill: by its first argument.
const (
	roleWorker     = "role-worker"
	roleSupervisor = "role-supervisor"
)

func TestMain(m *testing.M) {
	if len(os.Args) < 3 {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	var err error
	switch os.Args[1] {
	case roleWorker:
		err = proxy.RunWorker(ctx, proxy.WorkerOptions{Dir: os.Args[2], Log: log})
	case roleSupervisor:
		err = supervise(ctx, os.Args[2], os.Args[3])
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		log.Error("Role failed", "role", os.Args[1], "error", err)
		os.Exit(1)
	}
}
