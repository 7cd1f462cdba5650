package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/app"
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
