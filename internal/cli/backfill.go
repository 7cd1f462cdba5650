package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

func (s *session) backfillCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "backfill", Short: "Look at the backfills of the release that serves, pause them, carry them on", Args: cobra.NoArgs,
		Long: "A backfill is a file in backfills/ that changes rows in small batches while the release serves. A\ndeployment carries out those that are not done, after the watch. It stops after the batch under way\nwhen somebody pauses it, deploys or rolls back, and goes on from its cursor.",
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		s.backfillLook("status", "Show how far they are", false),
		s.backfillLook("pause", "Stop after the batch under way, until somebody resumes them", true),
		s.backfillCarry(plan.BackfillResume, "Carry on those that are not done, also those that are paused"),
		s.backfillCarry(plan.BackfillRun, "Carry on those that are not done and not paused"),
	)
	return c
}

func (s *session) backfillLook(verb, short string, pause bool) *cobra.Command {
	return &cobra.Command{
		Use: verb + " [environment]", Short: short, Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			file, env, err := s.environment(args)
			if err != nil {
				return err
			}
			return s.with(c.Context(), file.Server, func(ctx context.Context, cl *client.Client) error {
				all, err := cl.Backfills(ctx, wire.Backfills{Environment: env, Pause: pause, By: s.who()})
				if err != nil {
					return err
				}
				return s.print(all, func(w io.Writer) { printBackfills(w, all) })
			})
		},
	}
}

func (s *session) backfillCarry(how, short string) *cobra.Command {
	var noWait bool
	c := &cobra.Command{
		Use: how + " [environment]", Short: short, Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			file, env, err := s.environment(args)
			if err != nil {
				return err
			}
			return s.with(c.Context(), file.Server, func(ctx context.Context, cl *client.Client) error {
				in := wire.NewRun{Verb: ship.VerbMigrate, Environment: env, By: s.who(), Options: ship.Options{Backfill: how}}
				return s.runAndFollow(ctx, cl, in, noWait)
			})
		},
	}
	c.Flags().BoolVar(&noWait, "no-wait", false, "return when the run has begun")
	return c
}

func printBackfills(w io.Writer, all wire.Backfills) {
	if len(all.Backfills) == 0 {
		fmt.Fprintf(w, "v%d has no backfills.\n", all.Release)
		return
	}
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "BACKFILL\tTABLE\tSTATE\tSEEN\tCHANGED\tROWS/S\tLEFT\tRUN\tWHEN")
	for _, b := range all.Backfills {
		state, run, when := b.Status, b.Run, ""
		if state == "" {
			state, run = "not begun", "–"
		} else {
			when = ago(b.At) + " ago"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%.0f\t%s\t%s\t%s\n", b.Name, b.Table, state, seenOf(b), b.Rows, b.Rate, leftOf(b), run, when)
	}
	_ = t.Flush()
	for _, b := range all.Backfills {
		if b.Note != "" {
			fmt.Fprintf(w, "   %s: %s\n", b.Name, mask.Terminal(b.Note))
		}
		if b.Changed {
			fmt.Fprintf(w, " ! %s was changed after rows were done by it\n", b.Name)
		}
	}
}

func seenOf(b wire.Backfill) string {
	if b.Total > 0 {
		return fmt.Sprintf("%d of about %d", b.Seen, max(b.Seen, b.Total))
	}
	return fmt.Sprint(b.Seen)
}

func leftOf(b wire.Backfill) string {
	if b.Status != "running" || b.Rate <= 0 || b.Total <= b.Seen {
		return "–"
	}
	return "about " + (time.Duration(float64(b.Total-b.Seen)/b.Rate) * time.Second).String()
}
