// Package measure is what the benchmarks share: samples, their tables, where
// results are kept, and the shell around a benchmark's main. It knows nothing
// of what is measured.
package measure

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// A Report is everything that was measured; as JSON it has every number.
type Report interface {
	Markdown(w io.Writer) error
}

// A Machine is where and when something was measured.
type Machine struct {
	Date   string `json:"date"`
	CPUs   int    `json:"cpus"`
	System string `json:"system"`
	CPU    string `json:"cpu"`
	Go     string `json:"go"`
}

// ThisMachine describes the machine, now.
func ThisMachine() Machine {
	return Machine{
		Date: time.Now().UTC().Format(time.DateOnly), CPUs: runtime.NumCPU(),
		System: runtime.GOOS + "/" + runtime.GOARCH, CPU: cpu(), Go: runtime.Version(),
	}
}

func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores (%s), %s, %s", m.Date, m.CPUs, m.CPU, m.System, m.Go)
}

// cpu returns the name that the kernel gives the processor.
func cpu() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// An Output is where a report goes.
type Output struct {
	Format string // "text", which is Markdown, or "json"
	Keep   string // a folder that gets both
}

// Flags adds -o and -keep to a benchmark's own.
func (o *Output) Flags(f *flag.FlagSet) {
	f.StringVar(&o.Format, "o", "text", "`format`: text, which is Markdown, or json")
	f.StringVar(&o.Keep, "keep", "", "also write NAME.json with every number and NAME.md into this `folder`")
}

// OK tells whether the format is one.
func (o *Output) OK() bool { return o.Format == "text" || o.Format == "json" }

// Write writes the report of the benchmark of that name.
func (o *Output) Write(w io.Writer, name string, r Report) error {
	var text strings.Builder
	if err := r.Markdown(&text); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if o.Keep != "" {
		if err := os.MkdirAll(o.Keep, 0o755); err != nil {
			return err
		}
		md := fmt.Sprintf("Measured %s.\n\n%s", ThisMachine(), text.String())
		err := errors.Join(
			os.WriteFile(filepath.Join(o.Keep, name+".json"), append(raw, '\n'), 0o644),
			os.WriteFile(filepath.Join(o.Keep, name+".md"), []byte(md), 0o644))
		if err != nil {
			return err
		}
	}
	if o.Format == "json" {
		_, err = fmt.Fprintf(w, "%s\n", raw)
		return err
	}
	_, err = io.WriteString(w, text.String())
	return err
}

// Main is the main function of the benchmark of that name: signals end it, an
// error is printed and ends it with 1.
func Main(name string, run func(ctx context.Context, args []string, out, errOut io.Writer) error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "bench/%s: %v\n", name, err)
		os.Exit(1)
	}
}

// InFolder calls f with a temporary folder whose name is short enough for the
// sockets in it.
func InFolder(f func(dir string) error) (err error) {
	dir, err := os.MkdirTemp("", "slb-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return f(dir)
}

// Build builds a program as `make build` does.
func Build(ctx context.Context, to, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", to, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", pkg, err, strings.TrimSpace(string(out)))
	}
	return nil
}
