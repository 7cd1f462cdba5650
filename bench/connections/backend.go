package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// serve is the backend: it says where it listens, and answers at once, or,
// what asks for /wait, after somebody asked for /go.
func serve(ctx context.Context, out io.Writer) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var waiting atomic.Int64
	released := make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/wait", func(_ http.ResponseWriter, r *http.Request) {
		waiting.Add(1)
		select {
		case <-released:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/waiting", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, waiting.Load()) })
	mux.HandleFunc("/go", func(http.ResponseWriter, *http.Request) { release() })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: within}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if _, err := fmt.Fprintln(out, l.Addr()); err != nil {
		return err
	}
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// A backend is that, as a process of its own.
type backend struct {
	cmd     *exec.Cmd
	address string
}

func startBackend(ctx context.Context) (*backend, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b := &backend{cmd: exec.CommandContext(ctx, self, "-backend")}
	b.cmd.Stderr = os.Stderr
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := b.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(err, b.stop())
	}
	b.address = strings.TrimSpace(line)
	return b, nil
}

func (b *backend) stop() error {
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return b.cmd.Wait()
}

// waiting returns when so many requests wait for an answer.
func (b *backend) waiting(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		text, err := b.get(ctx, "/waiting")
		if err != nil {
			return err
		}
		if have, err := strconv.Atoi(text); err != nil || have >= n {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s of %d requests reached the backend", text, n)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (b *backend) release(ctx context.Context) error {
	_, err := b.get(ctx, "/go")
	return err
}

func (b *backend) get(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.address+path, http.NoBody)
	if err != nil {
		return "", err
	}
	res, err := (&http.Client{Timeout: within}).Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 100))
	return string(text), err
}
