package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

func (s *session) maintenanceCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "maintenance", Short: "Close the site with a maintenance page, or open it", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var text string
	var retry time.Duration
	on := &cobra.Command{
		Use: "on [environment]", Short: "Answer 503 with a page; workers stop, health checks are still answered", Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			return s.setMode(c, args, platform.ModeChange{Mode: ship.Maintenance, For: retry, Text: text})
		},
	}
	on.Flags().StringVar(&text, "text", "", "`text` of the page")
	on.Flags().DurationVar(&retry, "retry-after", time.Minute, "when clients may `try again`")
	off := &cobra.Command{
		Use: "off [environment]", Short: "Open the site again", Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			return s.setMode(c, args, platform.ModeChange{Mode: ship.Serving})
		},
	}
	c.AddCommand(on, off)
	return c
}

func (s *session) setMode(c *cobra.Command, args []string, m platform.ModeChange) error {
	file, env, err := s.environment(args)
	if err != nil {
		return err
	}
	return s.with(c.Context(), file.Server, func(ctx context.Context, cl *client.Client) error {
		if err := cl.SetMode(ctx, wire.Mode{Environment: env, Change: m, By: s.who()}); err != nil {
			return err
		}
		return s.print(m, func(w io.Writer) {
			fmt.Fprintf(w, "%s %s\n", env.ID, map[ship.Mode]string{ship.Maintenance: "shows its maintenance page", ship.Serving: "is open"}[m.Mode])
		})
	})
}
