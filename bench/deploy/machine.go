package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/shiplock/shiplock/bench/measure"
)

const (
	upWithin   = time.Minute
	stopWithin = 30 * time.Second
)

// A machine is a server with its node in a folder of its own, and the projects
// that are deployed there.
type machine struct {
	dir, data, binary string
	projects          []*project
	server            *exec.Cmd
	log               bytes.Buffer // of the server; read after it ended
}

// prepare builds the program and the projects.
func prepare(ctx context.Context, o options, dir string) (*machine, error) {
	m := &machine{dir: dir, data: filepath.Join(dir, "d"), binary: o.binary}
	if m.binary == "" {
		m.binary = filepath.Join(dir, "shiplock")
		if err := measure.Build(ctx, m.binary, "github.com/shiplock/shiplock/cmd/shiplock"); err != nil {
			return nil, err
		}
	}
	shop := filepath.Join(dir, "shop")
	if err := measure.Build(ctx, shop, "github.com/shiplock/shiplock/examples/go"); err != nil {
		return nil, err
	}
	for _, t := range []tree{{name: "small"}, {name: "large", files: o.files, size: o.size}} {
		p, err := newProject(ctx, dir, shop, t)
		if err != nil {
			return nil, fmt.Errorf("make the %s tree: %w", t.name, err)
		}
		m.projects = append(m.projects, p)
	}
	return m, nil
}

// up starts the server and waits until it answers.
func (m *machine) up(ctx context.Context) error {
	m.server = exec.Command(m.binary, "up", "--data", m.data) // stop ends it, also after an interrupt
	m.server.Stdout, m.server.Stderr = &m.log, &m.log
	m.server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's interrupt is for us
	if err := m.server.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	for {
		_, err := m.shiplock(ctx, "status", "-o", "json")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// stop ends the applications, the node and the server.
func (m *machine) stop(ctx context.Context) error {
	if m.server == nil || m.server.Process == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	late := time.AfterFunc(stopWithin, func() { _ = m.server.Process.Kill() })
	defer late.Stop()
	if err := m.server.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := m.server.Wait(); err != nil {
		return fmt.Errorf("end the server: %w: %s", err, bytes.TrimSpace(m.log.Bytes()))
	}
	_, err := m.shiplock(ctx, "node", "stop")
	return err
}

// shiplock runs the program and returns what it printed.
func (m *machine) shiplock(ctx context.Context, args ...string) ([]byte, error) {
	return output(ctx, "", m.binary, append(args, "--data", m.data)...)
}

// output runs a program and returns its standard output.
func output(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errOut
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(errOut.String() + out.String())
		return nil, fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, said)
	}
	return out.Bytes(), nil
}
