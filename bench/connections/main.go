// Command connections measures what memory the proxy worker holds with many
// connections: idle ones, and ones with a request under way. It runs the real
// worker, and is its clients and its backend itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/shiplock/shiplock/bench/measure"
	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

type options struct {
	connections int
	backend     bool
	output      measure.Output
}

func main() { measure.Main("connections", run) }

func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	var o options
	f := flag.NewFlagSet("connections", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.IntVar(&o.connections, "connections", 10000, "open so `many`")
	f.BoolVar(&o.backend, "backend", false, "be the backend, for a measurement that is under way")
	o.output.Flags(f)
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.connections < 1 || !o.output.OK() || f.NArg() > 0 {
		return errors.New("want -connections above 0, -o text or json, and no arguments")
	}
	if o.backend {
		return serve(ctx, out)
	}
	return measure.InFolder(func(dir string) error {
		r, err := measureIn(ctx, o, dir, errOut)
		if err != nil {
			return err
		}
		return o.output.Write(out, "connections", r)
	})
}

// A report says how many MB the worker's resident memory was.
type report struct {
	measure.Machine
	Idle     state   `json:"idle"`      // each has had an answer and waits
	InFlight state   `json:"in_flight"` // each has a request under way
	Empty    float64 `json:"empty_mb"`  // before the first connection
}

// A state is the worker's memory with so many connections.
type state struct {
	Connections int     `json:"connections"`
	MB          float64 `json:"mb"`
}

// Markdown writes the table.
func (r report) Markdown(w io.Writer) error {
	each := func(s state) float64 { return (s.MB - r.Empty) * 1e3 / float64(s.Connections) }
	_, err := fmt.Fprintf(w, "| connections to the worker | number | MB resident | KB each |\n| --- | ---: | ---: | ---: |\n"+
		"| before the first | 0 | %.0f | |\n| all idle | %d | %.0f | %.1f |\n| a request under way on each | %d | %.0f | %.1f |\n",
		r.Empty, r.Idle.Connections, r.Idle.MB, each(r.Idle), r.InFlight.Connections, r.InFlight.MB, each(r.InFlight))
	return err
}

// underWay returns how many requests the worker can have under way at once: it
// needs two files for each, and may not have more than the machine allows.
func underWay(wanted int) (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	const others = 200
	return min(wanted, int(limit.Max-others)/2), nil
}

func measureIn(ctx context.Context, o options, dir string, progress io.Writer) (r report, err error) {
	b, err := startBackend(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	w, address, err := startWorker(ctx, dir, b.address)
	if err != nil {
		return r, err
	}
	defer func() {
		err = errors.Join(err, w.Kill())
		<-w.Done()
	}()
	r = report{Machine: measure.ThisMachine(), Idle: state{Connections: o.connections}}
	if r.InFlight.Connections, err = underWay(o.connections); err != nil {
		return r, err
	}
	if r.Empty, err = resident(w.PID()); err != nil {
		return r, err
	}
	all, err := connect(ctx, address, o.connections)
	defer all.close()
	if err != nil {
		return r, err
	}
	if err := all.each(ctx, client.roundTrip); err != nil {
		return r, err
	}
	fmt.Fprintf(progress, "%d connections are idle\n", len(all))
	if r.Idle.MB, err = resident(w.PID()); err != nil {
		return r, err
	}
	busy := all[:r.InFlight.Connections]
	all[len(busy):].close()
	if err := keepWaiting(ctx, busy, b); err != nil {
		return r, err
	}
	fmt.Fprintf(progress, "%d requests are under way\n", len(busy))
	if r.InFlight.MB, err = resident(w.PID()); err != nil {
		return r, err
	}
	if err := b.release(ctx); err != nil {
		return r, err
	}
	return r, busy.each(ctx, client.read)
}

// keepWaiting has a request under way on each connection. They come in parts,
// as a backend's queue of connections is shorter than that.
func keepWaiting(ctx context.Context, all clients, b *backend) error {
	const part = 500
	begun := 0
	for some := range slices.Chunk(all, part) {
		if err := some.each(ctx, client.askToWait); err != nil {
			return err
		}
		begun += len(some)
		if err := b.waiting(ctx, begun); err != nil {
			return err
		}
	}
	return nil
}

// startWorker builds the program and starts its worker as the node does.
func startWorker(ctx context.Context, dir, backend string) (*proxy.Worker, string, error) {
	binary := filepath.Join(dir, "shiplock")
	if err := measure.Build(ctx, binary, "github.com/shiplock/shiplock/cmd/shiplock"); err != nil {
		return nil, "", err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	defer l.Close()
	file, err := proxy.ListenerFile(l)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	name, sockets := l.Addr().String(), filepath.Join(dir, "w")
	w, err := proxy.StartWorker(ctx, proxy.StartOptions{
		Command: []string{binary, "node", "worker", sockets}, Dir: sockets,
		Listeners: map[string]*os.File{name: file}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, "", err
	}
	return w, name, w.SetTable(ctx, proxy.Table{
		Revision: 1, Listeners: []proxy.Listener{{Name: name}},
		Environments: []proxy.Environment{{
			ID: ship.EnvironmentID{App: "bench", Name: "bench"}, Listen: []string{name}, Active: ship.Blue,
			Slots: map[ship.Slot]proxy.Backend{ship.Blue: {Generation: "bench/blue", Addresses: []string{backend}, Release: "v1"}},
		}},
	})
}

// resident returns the MB of a process that are in memory.
func resident(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 64)
			return n * 1024 / 1e6, err
		}
	}
	return 0, errors.New("the kernel does not say how much memory the worker has")
}
