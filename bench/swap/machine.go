package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/shiplock/shiplock/bench/measure"
	"github.com/shiplock/shiplock/internal/node"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/release"
	"github.com/shiplock/shiplock/internal/ship"
)

const (
	patience  = time.Minute
	lookEvery = 20 * time.Millisecond
)

// A machine is a node in a process of its own, and the release it runs.
type machine struct {
	options
	*node.Client
	data, listen, orders string
	spec                 platform.Spec
	node                 *exec.Cmd
	log                  bytes.Buffer // of the node; read after it ended
	runs                 int
}

func prepare(ctx context.Context, o options, dir string) (*machine, error) {
	m := &machine{options: o, data: filepath.Join(dir, "d"), orders: filepath.Join(dir, "o")}
	m.Client = node.NewClient(node.Socket(filepath.Join(m.data, "node")))
	if m.binary == "" {
		m.binary = filepath.Join(dir, "shiplock")
		if err := measure.Build(ctx, m.binary, "github.com/shiplock/shiplock/cmd/shiplock"); err != nil {
			return nil, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m.listen = l.Addr().String()
	m.spec = platform.Spec{
		Environment: ship.Environment{
			ID:    ship.EnvironmentID{App: "shop", Name: "bench"},
			Route: ship.Route{Listen: []string{m.listen}},
			Run: ship.RunSettings{Processes: map[string]ship.Process{
				ship.Web: {Command: ship.Argv{self, "app", m.orders}, Instances: 2, Grace: 15 * time.Second},
			}},
			Health: ship.Health{Path: "/healthz"},
			Proxy:  ship.Proxy{KeepAlive: o.keepAlive},
			Drain:  o.drain, LongLivedDrain: o.longLived,
		},
		Release: ship.Release{App: "shop"},
	}
	return m, errors.Join(l.Close(), os.MkdirAll(m.orders, 0o755), os.MkdirAll(filepath.Join(dir, "tree"), 0o755))
}

// up starts the node with the release in service.
func (m *machine) up(ctx context.Context) error {
	m.node = exec.Command(m.binary, "node", "run", "--data", m.data) // stop ends it, also after an interrupt
	m.node.Stdout, m.node.Stderr = &m.log, &m.log
	m.node.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's interrupt is for us
	if err := m.node.Start(); err != nil {
		return err
	}
	err := until(ctx, "the node answers", func() (bool, error) {
		_, err := m.Info(ctx)
		return err == nil, nil
	})
	if err != nil {
		return err
	}
	tree := filepath.Join(filepath.Dir(m.data), "tree")
	if err := os.WriteFile(filepath.Join(tree, "app"), []byte("the program is beside it\n"), 0o644); err != nil {
		return err
	}
	var zip bytes.Buffer
	artifact, _, err := release.Pack(ctx, release.PackOptions{App: "shop", Dir: tree}, &zip)
	if err != nil {
		return err
	}
	m.spec.Release.Artifact = artifact
	if err := m.Upload(ctx, artifact, &zip); err != nil {
		return err
	}
	if _, err := m.Prepare(ctx, m.spec); err != nil {
		return err
	}
	_, err = m.exchange(ctx, true)
	return err
}

// exchange starts the release in the idle slot, as the next number. It shifts
// the traffic there and waits until the instances before are drained and gone;
// or it does not, and stops the new ones again.
func (m *machine) exchange(ctx context.Context, shift bool) (*ship.Receipt, error) {
	id := m.spec.Environment.ID
	m.runs++
	fence, err := m.Acquire(ctx, id, ship.Claim{Run: fmt.Sprintf("run-%d", m.runs), Holder: "bench", Reason: "deploy", TTL: 10 * time.Minute})
	if err != nil {
		return nil, err
	}
	defer func() { _ = m.Release(context.WithoutCancel(ctx), id, fence) }()
	before, err := m.Observe(ctx, id)
	if err != nil {
		return nil, err
	}
	slot := ship.Blue
	if before.Active != "" {
		slot = before.Active.Other()
	}
	spec := m.spec
	spec.Release.Number = m.runs
	if err := m.Start(ctx, fence, spec, slot); err != nil {
		return nil, err
	}
	if err := m.healthy(ctx, slot); err != nil {
		return nil, err
	}
	if !shift {
		return nil, m.Stop(ctx, fence, id, slot)
	}
	env := spec.Environment
	err = m.Shift(ctx, fence, id, platform.Shift{To: slot, Drain: env.Drain, LongLivedDrain: env.LongLivedDrain, KeepOld: time.Millisecond})
	if err != nil || before.Active == "" {
		return nil, err
	}
	return m.gone(ctx, before)
}

// healthy waits until every instance of the slot answers.
func (m *machine) healthy(ctx context.Context, slot ship.Slot) error {
	obs, err := m.Observe(ctx, m.spec.Environment.ID)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	for _, i := range obs.Slots[slot].Instances {
		err := until(ctx, i.ID+" is healthy", func() (bool, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+i.Address+"/healthz", nil)
			if err != nil {
				return false, err
			}
			res, err := client.Do(req)
			if err != nil {
				return false, nil
			}
			return res.StatusCode == http.StatusOK, res.Body.Close()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// gone waits until the release that was active before is drained and its
// processes have ended, and returns the receipt.
func (m *machine) gone(ctx context.Context, before platform.Observation) (receipt *ship.Receipt, err error) {
	err = until(ctx, "the release before is stopped", func() (bool, error) {
		obs, err := m.Observe(ctx, m.spec.Environment.ID)
		if err != nil {
			return false, err
		}
		old := obs.Slots[before.Active]
		for _, i := range old.Instances {
			if i.State == "running" || old.Draining {
				return false, nil
			}
		}
		receipt = obs.Receipt
		return true, nil
	})
	for _, i := range before.Slots[before.Active].Instances {
		if err == nil && syscall.Kill(i.PID, 0) == nil {
			err = fmt.Errorf("process %d of %s runs on after it was stopped", i.PID, i.ID)
		}
	}
	return receipt, err
}

// stop ends the applications, the proxy worker and the node.
func (m *machine) stop(ctx context.Context) error {
	if m.node == nil || m.node.Process == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	late := time.AfterFunc(patience, func() { _ = m.node.Process.Kill() })
	defer late.Stop()
	err := m.Shutdown(ctx)
	if werr := m.node.Wait(); werr != nil || err != nil {
		return fmt.Errorf("end the node: %w: %s", errors.Join(err, werr), strings.TrimSpace(m.log.String()))
	}
	return nil
}

// until waits for what has to happen.
func until(ctx context.Context, what string, ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		done, err := ok()
		if done || err != nil {
			return err
		}
		if !pause(ctx, lookEvery) {
			return fmt.Errorf("not in time: %s: %w", what, ctx.Err())
		}
	}
}
