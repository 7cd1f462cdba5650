package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

func (s *session) schemaDiff() *cobra.Command {
	return &cobra.Command{
		Use: "diff [environment]", Short: "Compare the database with what its applied migrations make", Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeEnvironments,
		Long: "Apply the migrations of the release that serves to an empty database beside the environment's, as far as\n" +
			"they are applied there, and name what is missing, extra or changed in the environment's own. Rights and\n" +
			"the order of columns are not compared. The empty database is dropped again. It ends with 5 when there are differences.",
		RunE: func(c *cobra.Command, args []string) error {
			file, env, err := s.environment(args)
			if err != nil {
				return err
			}
			return s.with(c.Context(), file.Server, func(ctx context.Context, cl *client.Client) error {
				d, err := cl.Drift(ctx, wire.Drift{Environment: env})
				if err != nil {
					return err
				}
				if err := s.print(d, func(w io.Writer) { printDrift(w, d) }); err != nil || len(d.Differences) == 0 {
					return err
				}
				return ship.Errorf(ship.GateFailed, "write a migration of what is wanted, and take back the rest", "the database of %s is not what its migrations make; differences: %d", env.ID, len(d.Differences))
			})
		},
	}
}

func printDrift(w io.Writer, d wire.Drift) {
	for _, x := range d.Differences {
		fmt.Fprintf(w, "%-8s %s %s\n", x.State, x.Kind, mask.Terminal(x.Name))
		for _, line := range []struct{ what, text string }{{"should be", x.Expected}, {"is", x.Found}, {"why", x.Why}} {
			if line.text != "" {
				fmt.Fprintf(w, "         %s: %s\n", line.what, mask.Terminal(strings.Join(strings.Fields(line.text), " ")))
			}
		}
	}
	for _, id := range d.Unknown {
		fmt.Fprintf(w, " ! %s is applied and not in v%d: what it changed counts as a difference\n", mask.Terminal(id), d.Release)
	}
	if len(d.Differences) == 0 {
		fmt.Fprintf(w, "The database is what %d migrations of v%d make.\n", d.Migrations, d.Release)
	}
}
