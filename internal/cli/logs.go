package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

func (s *session) logsCommand() *cobra.Command {
	q := platform.LogQuery{}
	var slot, run string
	c := &cobra.Command{
		Use: "logs [environment]", Short: "Show what the application wrote", Args: cobra.MaximumNArgs(1),
		Example:           "  shiplock logs production -F\n  shiplock logs production --slot green --process worker\n  shiplock logs production --run d-12",
		ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			file, env, err := s.environment(args)
			if err != nil {
				return err
			}
			q.Slot = ship.Slot(slot)
			return s.with(c.Context(), file.Server, func(ctx context.Context, cl *client.Client) error {
				if run != "" && q.Slot == "" {
					if q.Slot, err = slotOf(ctx, cl, env.ID, run); err != nil {
						return err
					}
				}
				// What an application writes must not drive the terminal.
				out := mask.TerminalWriter(s.out)
				return errors.Join(cl.Logs(ctx, env.ID, q, out), out.Close())
			})
		},
	}
	f := c.Flags()
	f.StringVar(&slot, "slot", "", "of this `slot`: blue or green (default the active one)")
	f.StringVar(&run, "run", "", "of the slot this `run` started")
	f.StringVar(&q.Process, "process", "", "of this `process` only")
	f.StringVar(&q.Job, "job", "", "of a `command` that was run for a release, such as d-12.gate-unit")
	f.IntVarP(&q.Lines, "lines", "n", 100, "so many `lines` from the end")
	f.BoolVarP(&q.Follow, "follow", "F", false, "go on until interrupted")
	return c
}

// slotOf finds the slot a run started.
func slotOf(ctx context.Context, cl *client.Client, id ship.EnvironmentID, run string) (ship.Slot, error) {
	all, err := cl.Status(ctx, id.App, id.Name)
	if err != nil {
		return "", err
	}
	for _, e := range all {
		for slot, st := range e.Observed.Slots {
			if st.Run == run || strings.HasPrefix(st.Run, run+"-") {
				return slot, nil
			}
		}
	}
	return "", ship.Errorf(ship.NotFound, "shiplock status "+id.Name, "nothing that run %s started is there any more", run)
}
