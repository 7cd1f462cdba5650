package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/shiplock/shiplock/bench/measure"
	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

const (
	answersWithin = 30 * time.Second
	retireWithin  = 5 * time.Second
)

// A chain is a backend and the proxies before it.
type chain struct {
	backend *server
	peers   []*server
	ours    string // host:port of our worker

	servers []*server // the backend and the peers
	worker  *proxy.Worker
}

// newChain starts everything. What it returns has to be stopped even with an
// error.
func newChain(ctx context.Context, o options, dir string) (*chain, error) {
	c := &chain{}
	var err error
	backend := peers()[0]
	backend.start = func(dir, listen, _ string) ([]string, error) { return nginxArgs(dir, backendConfig(), listen) }
	if c.backend, err = c.start(dir, "backend", backend); err != nil {
		return c, err
	}
	chosen, err := named(o.peers)
	if err != nil {
		return c, err
	}
	for _, p := range chosen {
		s, err := c.start(dir, p.name, p)
		if err != nil {
			return c, err
		}
		c.peers = append(c.peers, s)
	}
	if err := c.startWorker(ctx, o, dir); err != nil {
		return c, err
	}
	for _, address := range c.addresses() {
		if err := answers(ctx, address); err != nil {
			return c, err
		}
	}
	return c, nil
}

// addresses returns where everybody listens, by name.
func (c *chain) addresses() map[string]string {
	all := map[string]string{backendName: c.backend.address, shiplock: c.ours}
	for _, p := range c.peers {
		all[p.name] = p.address
	}
	return all
}

// startWorker starts the program's worker as the node does, and gives it a
// listener and a table.
func (c *chain) startWorker(ctx context.Context, o options, dir string) error {
	command, err := workerCommand(ctx, o, dir)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	file, err := proxy.ListenerFile(l)
	if err != nil {
		return err
	}
	defer file.Close()
	name := l.Addr().String()
	sockets := filepath.Join(dir, "w")
	c.worker, err = proxy.StartWorker(ctx, proxy.StartOptions{
		Command: append(command, sockets), Dir: sockets,
		Listeners: map[string]*os.File{name: file}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	c.ours = name
	return c.worker.SetTable(ctx, proxy.Table{
		Revision:  1,
		Listeners: []proxy.Listener{{Name: name}},
		Environments: []proxy.Environment{{
			ID: ship.EnvironmentID{App: "bench", Name: "bench"}, Listen: []string{name}, Active: ship.Blue,
			Slots: map[ship.Slot]proxy.Backend{ship.Blue: {Generation: "bench/blue", Addresses: []string{c.backend.address}, Release: "v1"}},
		}},
	})
}

func workerCommand(ctx context.Context, o options, dir string) ([]string, error) {
	if o.profile != "" {
		self, err := os.Executable()
		return []string{self, "-profile", o.profile, "-worker"}, err
	}
	if o.binary != "" {
		return []string{o.binary, "node", "worker"}, nil
	}
	binary := filepath.Join(dir, "shiplock")
	if err := measure.Build(ctx, binary, "github.com/shiplock/shiplock/cmd/shiplock"); err != nil {
		return nil, err
	}
	return []string{binary, "node", "worker"}, nil
}

// stop ends what was started.
func (c *chain) stop(ctx context.Context) error {
	var problems []error
	if c.worker != nil {
		ctx, cancel := context.WithTimeout(ctx, 2*retireWithin)
		defer cancel()
		problems = append(problems, c.worker.Retire(ctx, retireWithin))
		select {
		case <-c.worker.Done():
		case <-ctx.Done():
			problems = append(problems, c.worker.Kill())
			<-c.worker.Done()
		}
	}
	for _, s := range c.servers {
		problems = append(problems, s.stop())
	}
	return errors.Join(problems...)
}

// answers waits until address gives the backend's answer.
func answers(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	for {
		err := ask(ctx, address)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", address, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func ask(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", http.NoBody)
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err == nil && (res.StatusCode != http.StatusOK || string(body) != answer) {
		err = fmt.Errorf("it answered %s: %q", res.Status, body)
	}
	return err
}
