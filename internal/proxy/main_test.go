package proxy_test

import (
	"context"
	"fmt"
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
	roleAsk        = "role-ask"

	answered = "the worker answered" // what role-ask prints
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
	case roleAsk:
		if _, err := proxy.Dial(ctx, os.Args[2]); err == nil {
			fmt.Print(answered)
		} else {
			fmt.Print(err)
		}
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		log.Error("Role failed", "role", os.Args[1], "error", err)
		os.Exit(1)
	}
}
