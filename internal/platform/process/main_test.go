package process_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/node"
	"github.com/shiplock/shiplock/internal/proxy"
)

// TestMain makes the test binary be, besides the tests, everything that runs
// beside them: the node, its proxy worker, the keepers of its commands, and
// the application. All of it is real and in processes of its own.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || strings.HasPrefix(os.Args[1], "-") {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := 0
	var err error
	switch os.Args[1] {
	case "node":
		err = runNode(ctx, os.Args[2])
	case "worker":
		err = proxy.RunWorker(ctx, proxy.WorkerOptions{Dir: os.Args[2], Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	case "job":
		code = node.RunJob(ctx, os.Args[2])
	case "app":
		err = serveApp(ctx)
	case "tick":
		err = tick(ctx)
	case "ask":
		code = ask(os.Args[2])
	default:
		err = fmt.Errorf("no such program: %s", os.Args[1])
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runNode(ctx context.Context, dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return node.Run(ctx, node.Options{
		Dir: dir, WorkerCommand: []string{self, "worker"}, JobCommand: []string{self, "job"}, Binary: self,
		BaseEnv: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TESTBINARY=" + self, "GORACE=atexit_sleep_ms=0"},
		Log:     slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
}

// serveApp is the application: see platformtest.World.
func serveApp(ctx context.Context) error {
	number, err := os.ReadFile("number")
	if err != nil {
		return err
	}
	name := "release " + strings.TrimSpace(string(number))
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })
	var sick atomic.Bool
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if sick.Load() {
			http.Error(w, "sick", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/fail", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "failed", http.StatusInternalServerError) })
	mux.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { os.Exit(3) })
	mux.HandleFunc("/pid", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, os.Getpid()) })
	mux.HandleFunc("/shout", func(w http.ResponseWriter, r *http.Request) {
		line := strings.Repeat("x", 1<<10-1) + "\n"
		for range 20 << 10 {
			_, _ = io.WriteString(os.Stdout, line)
		}
		fmt.Println("shouted")
	})
	mux.HandleFunc("/sicken", func(http.ResponseWriter, *http.Request) { sick.Store(true) })
	mux.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, os.Getenv(r.URL.Query().Get("name")))
	})
	mux.HandleFunc("/write", func(w http.ResponseWriter, r *http.Request) {
		if err := os.WriteFile(r.URL.Query().Get("file"), []byte("changed"), 0o600); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
		}
	})
	fmt.Println(name, "starts")
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	stopped := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stopped()
	if err := srv.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// tick is the application's worker.
func tick(ctx context.Context) error {
	number, err := os.ReadFile("number")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(os.Getenv("TICKS"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	for ctx.Err() == nil {
		if _, err := f.Write(append(number, '\n')); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// ask asks the node at a socket who it is. Exit code 9 is that it does not
// talk to us.
func ask(socket string) int {
	if _, err := node.NewClient(socket).Info(context.Background()); err != nil {
		fmt.Println(err)
		return 9
	}
	return 0
}
