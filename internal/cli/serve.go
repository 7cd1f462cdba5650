package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/app"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/node"
	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

func socketOf(o app.Options) string { return app.SocketPath(o.Dir) }

func serve(ctx context.Context, o app.Options, ready func()) error {
	a, err := app.Open(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(a.Run(ctx, ready), a.Close())
}

// nodeCommand has what the server and systemd start; people hardly need it.
func (s *session) nodeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "node", Short: "The data plane of this machine", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	run := &cobra.Command{
		Use: "run", Short: "Run the node in the foreground (the server does this by itself)", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := s.options()
			if err != nil {
				return err
			}
			return node.Run(c.Context(), node.Options{
				Dir: o.NodeDir(), WorkerCommand: []string{o.Binary, "node", "worker"}, JobCommand: []string{o.Binary, "node", "job"},
				BaseEnv: config.BaseEnviron(), Binary: o.Binary, Log: o.Log,
			})
		},
	}
	stop := &cobra.Command{
		Use: "stop", Short: "End the node and every application it runs", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dir := app.Options{Dir: s.data}.NodeDir()
			if err := node.NewClient(node.Socket(dir)).Shutdown(c.Context()); err != nil {
				return err
			}
			return node.AwaitEnd(c.Context(), dir)
		},
	}
	worker := &cobra.Command{
		Use: "worker folder", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return proxy.RunWorker(c.Context(), proxy.WorkerOptions{Dir: args[0], Log: s.logger()})
		},
	}
	job := &cobra.Command{
		Use: "job folder", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if code := node.RunJob(c.Context(), args[0]); code != 0 {
				return exitCode(code)
			}
			return nil
		},
	}
	c.AddCommand(run, stop, worker, job)
	return c
}

// connectCommand is the other end of ssh://: standard input and output become
// a connection to the server's socket.
func (s *session) connectCommand() *cobra.Command {
	return &cobra.Command{
		Use: "connect", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			path := app.SocketPath(s.data)
			conn, err := (&net.Dialer{}).DialContext(c.Context(), "unix", path)
			if err != nil {
				return ship.Errorf(ship.Unreachable, "shiplock up", "no server at %s: %w", path, err)
			}
			defer conn.Close()
			ended := make(chan error, 1)
			go func() {
				_, err := io.Copy(conn, s.in)
				ended <- errors.Join(err, conn.(*net.UnixConn).CloseWrite())
			}()
			_, err = io.Copy(s.out, conn)
			return err
		},
	}
}

func (s *session) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return s.print(map[string]string{"version": version()}, func(w io.Writer) { fmt.Fprintln(w, "shiplock", version()) })
		},
	}
}

// completeEnvironments completes the names of the configured environments.
func (s *session) completeEnvironments(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	f, err := s.load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return f.Environments(), cobra.ShellCompDirectiveNoFileComp
}
