package app

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/node"
	"github.com/shiplock/shiplock/internal/ship"
)

// lookEvery is how often the node is looked for. Calls to a node that is gone
// wait some seconds for the next one, so it has to be noticed much sooner.
const lookEvery = 250 * time.Millisecond

// A keeper has the node running while we do. The node outlives us: it is
// started in a session of its own, and the next server finds it.
type keeper struct{ Options }

// Run starts the node again whenever it is gone, until ctx ends.
func (k *keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if k.NodeElsewhere || k.answers(ctx) {
			continue
		}
		k.Log.WarnContext(ctx, "node is gone, starting it again")
		if err := k.ensure(ctx); err != nil && ctx.Err() == nil {
			k.Log.ErrorContext(ctx, "start node", "error", err)
		}
	}
}

// ensure starts the node unless it answers, and waits until it does.
func (k *keeper) ensure(ctx context.Context) error {
	if k.answers(ctx) {
		return nil
	}
	if k.NodeElsewhere {
		return k.await(ctx)
	}
	if err := os.MkdirAll(k.NodeDir(), 0o700); err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	path := k.NodeLog() // the node keeps it within its bound
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(k.Binary, "node", "run", "--data", k.Dir)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, k.Dir
	cmd.Env = config.BaseEnviron()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }() // ends with the node, which may outlive us
	for deadline := time.Now().Add(30 * time.Second); !k.answers(ctx); {
		select {
		case err := <-exited:
			if !k.answers(ctx) {
				return ship.Errorf(ship.Internal, "cat "+path, "the node ended at once: %v", err)
			}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(30 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return ship.Errorf(ship.Unreachable, "cat "+path, "the node does not answer after 30 s")
		}
	}
	return nil
}

// await waits for a node that somebody else starts.
func (k *keeper) await(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !k.answers(ctx); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if time.Now().After(deadline) {
			return ship.Errorf(ship.Unreachable, "systemctl status shiplock-node", "the node, which somebody else starts, does not answer after a minute")
		}
	}
	return nil
}

// answers tells whether somebody listens on the node's socket. It does not ask
// the node anything: that would wait for one that is being started again,
// which is what we are here to do, and a slow answer is an answer.
func (k *keeper) answers(ctx context.Context) bool {
	if _, err := os.Stat(node.Socket(k.NodeDir())); err != nil {
		return false
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", node.Socket(k.NodeDir()))
	if err != nil {
		return false
	}
	return conn.Close() == nil
}
