package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/shiplock/shiplock/internal/app"
	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/demo"
	"github.com/shiplock/shiplock/internal/node"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

func (s *session) demoCommand() *cobra.Command {
	var keep bool
	var fault string
	c := &cobra.Command{
		Use: "demo", Short: "Show it at work: a shop under load, good and bad releases, nothing else needed", Args: cobra.NoArgs,
		Long: "Run a server, a node and a sample shop in a temporary folder, deploy good and bad releases of it under\nload, and check every claim. The exit code is 0 only if all of them held.",
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := os.MkdirTemp("", "shiplock-demo-")
			if err != nil {
				return fmt.Errorf("demo: %w", err)
			}
			s.data = filepath.Join(dir, "data")
			summary, err := s.demo(c.Context(), dir, fault)
			if keep && err == nil {
				s.say("kept in %s; end it with: shiplock node stop --data %s", dir, s.data)
			} else {
				err = errors.Join(err, s.endDemo(dir))
			}
			if errors.Is(err, context.Canceled) {
				return ship.Errorf(ship.Interrupted, "", "interrupted; everything was stopped and removed")
			}
			if err != nil {
				return err
			}
			if err := s.conclude(summary); err != nil {
				return err
			}
			if !summary.Held() {
				return exitCode(1)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "leave the shop running")
	c.Flags().StringVar(&fault, "break", "", "show this `failure` only: errors, slow or migration")
	return c
}

// demo runs a server in this process and the demonstration against it.
func (s *session) demo(ctx context.Context, dir, fault string) (demo.Summary, error) {
	o, err := s.options()
	if err != nil {
		return demo.Summary{}, err
	}
	o.Log = quietLogger()
	port, err := freeAddress()
	if err != nil {
		return demo.Summary{}, err
	}
	a, err := app.Open(ctx, o)
	if err != nil {
		return demo.Summary{}, err
	}
	defer a.Close()
	serveCtx, stop := context.WithCancel(ctx)
	g, serveCtx := errgroup.WithContext(serveCtx)
	ready := make(chan struct{})
	g.Go(func() error { return a.Run(serveCtx, func() { close(ready) }) })
	var summary demo.Summary
	g.Go(func() error {
		defer stop()
		select {
		case <-ready:
		case <-serveCtx.Done():
			return serveCtx.Err()
		}
		var err error
		summary, err = demo.Run(serveCtx, demo.Options{Place: demo.Place{Dir: dir, Listen: port}, Break: fault}, demoEngine{s, dir}, s.demoOut())
		return err
	})
	err = g.Wait()
	stop()
	if ctx.Err() != nil {
		return summary, ctx.Err()
	}
	return summary, err
}

func (s *session) conclude(summary demo.Summary) error {
	if s.json() {
		return json.NewEncoder(s.out).Encode(summary)
	}
	return summary.WriteTable(s.out)
}

func (s *session) demoOut() io.Writer {
	if s.json() {
		return s.err
	}
	return s.out
}

// endDemo ends what the demonstration started and removes its folder.
func (s *session) endDemo(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	nodeDir := app.Options{Dir: s.data}.NodeDir()
	if err := node.NewClient(node.Socket(nodeDir)).Shutdown(ctx); err != nil && ship.KindOf(err) != ship.Unreachable {
		return fmt.Errorf("end the demo's node: %w", err)
	}
	return errors.Join(node.AwaitEnd(ctx, nodeDir), os.RemoveAll(dir))
}

// demoEngine deploys the demonstration's releases through the API, as deploy
// does.
type demoEngine struct {
	s   *session
	dir string
}

// Deploy implements [demo.Engine].
func (d demoEngine) Deploy(ctx context.Context, dir string) (ship.Result, error) {
	s := *d.s
	s.file, s.quiet, s.server = filepath.Join(dir, "shiplock.yaml"), true, app.SocketPath(s.data)
	file, env, err := s.environment([]string{demo.Environment})
	if err != nil {
		return ship.Result{}, err
	}
	var result ship.Result
	err = s.with(ctx, "", func(ctx context.Context, cl *client.Client) error {
		rel, err := s.pack(ctx, cl, file, env)
		if err != nil {
			return err
		}
		run, err := cl.AddRun(ctx, wire.NewRun{Verb: ship.VerbDeploy, Environment: env, Release: rel.Number, By: "demo"})
		if err != nil {
			return err
		}
		_, err = cl.Follow(ctx, run.ID, 0, func(e ship.Event) error {
			if e.Type == ship.EventFinal {
				return json.Unmarshal(e.Data, &result)
			}
			return nil
		})
		return err
	})
	return result, err
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// demoShopCommand is the sample shop itself.
func (s *session) demoShopCommand() *cobra.Command {
	return &cobra.Command{
		Use: "demo-shop", Hidden: true, DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			o, err := demo.ParseShop(args)
			if err != nil {
				return usage{err}
			}
			return demo.Shop(c.Context(), o, s.logger())
		},
	}
}

// actor is who a CI service says set the job off.
func actor() string {
	for _, name := range []string{"GITHUB_ACTOR", "GITLAB_USER_LOGIN"} {
		if who, ok := config.Lookup(name); ok && !strings.ContainsAny(who, "\n\r") {
			return who
		}
	}
	return ""
}
