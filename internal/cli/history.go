package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
)

func (s *session) historyCommand() *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use: "history [environment]", Short: "List the runs, newest first", Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			env := ""
			if len(args) > 0 {
				env = args[0]
			}
			return s.with(c.Context(), s.configuredServer(), func(ctx context.Context, cl *client.Client) error {
				runs, err := cl.Runs(ctx, s.appName(), env, limit)
				if err != nil {
					return err
				}
				if err := s.mistaken(env, len(runs)); err != nil {
					return err
				}
				return s.print(runs, func(w io.Writer) {
					if len(runs) == 0 {
						fmt.Fprintln(w, "There is no run yet.")
						return
					}
					printRuns(w, runs)
				})
			})
		},
	}
	c.Flags().IntVar(&limit, "limit", 20, "show at most so `many`")
	return c
}

func printRuns(w io.Writer, runs []ship.Run) {
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "RUN\tENVIRONMENT\tVERB\tRELEASE\tSTATUS\tWHEN\tBY\tRESULT")
	for _, r := range runs {
		status := string(r.Status)
		if r.Result.Kind == ship.RolledBack {
			status = "rolled back"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\tv%d\t%s\t%s ago\t%s\t%s\n", r.ID, r.Request.Environment.ID, r.Request.Word(), r.Request.Release.Number, status, ago(r.CreatedAt), r.Request.By, mask.Terminal(firstLine(r.Result.Reason)))
	}
	_ = t.Flush()
}
