package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

func (s *session) migrateUndrop() *cobra.Command {
	var yes, purge bool
	c := &cobra.Command{
		Use: "undrop environment [what]", Short: "List what migrations dropped, and bring it back", Args: cobra.RangeArgs(1, 2), ValidArgsFunction: s.completeEnvironments,
		Long: "Before a migration drops a column or a table, what is in it is copied aside with its definition. Without\n" +
			"what, list what is kept. With it, bring it back: a column (orders.note), a table, a number of the list,\n" +
			"or a migration, which is all that it dropped. Values find their rows by the primary key; rows written\n" +
			"since get the default, or NULL. Where everything is back, releases from before the migration may run again.",
		RunE: func(c *cobra.Command, args []string) error { return s.undrop(c.Context(), args, yes, purge) },
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&purge, "purge", false, "delete the copy for good instead; without what, the copies that were kept long enough")
	return c
}

func (s *session) undrop(ctx context.Context, args []string, yes, purge bool) error {
	file, env, err := s.environment(args[:1])
	if err != nil {
		return err
	}
	in := wire.Trash{Environment: env, By: s.who()}
	return s.with(ctx, file.Server, func(ctx context.Context, cl *client.Client) error {
		all, err := cl.Trash(ctx, in)
		if err != nil {
			return err
		}
		if len(args) == 1 && !purge {
			return s.print(all, func(w io.Writer) { printTrash(w, all, env.ID.Name) })
		}
		question := "Delete the copies that were kept long enough?"
		if len(args) == 2 {
			in.What = args[1]
			question = "Bring it back?"
			if purge {
				question = "Delete the copy of " + in.What + " for good?"
			}
			for _, t := range chosenTrash(all, in.What) {
				fmt.Fprintf(s.err, "  %s, dropped by %s %s ago, %d rows\n", mask.Terminal(t.Name), mask.Terminal(t.Migration), ago(t.At), t.Rows)
			}
		}
		if !yes && !s.ask(question) {
			return ship.Errorf(ship.Invalid, "shiplock migrate undrop "+strings.Join(args, " ")+" --yes", "not confirmed, nothing was changed")
		}
		in.Undrop, in.Purge = !purge, purge
		done, err := cl.Trash(ctx, in)
		if err != nil {
			return err
		}
		return s.print(done, func(w io.Writer) { printUndropped(w, done, purge) })
	})
}

// chosenTrash shows what may be meant; the server decides.
func chosenTrash(all []wire.Trashed, what string) []wire.Trashed {
	return slices.DeleteFunc(slices.Clone(all), func(t wire.Trashed) bool {
		named := fmt.Sprint(t.ID) == what || t.Migration == what || strings.EqualFold(t.Name, what) || strings.EqualFold(strings.TrimPrefix(t.Name, "public."), what)
		return !named || t.Status == "back" || t.Status == "purged"
	})
}

func printTrash(w io.Writer, all []wire.Trashed, env string) {
	if len(all) == 0 {
		fmt.Fprintln(w, "Nothing was dropped that is kept.")
		return
	}
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NO\tDROPPED\tSTATE\tROWS\tSIZE\tMIGRATION\tRUN\tWHEN\tUNTIL")
	kept := false
	for _, x := range all {
		until := x.Until.Local().Format(time.DateOnly)
		if x.Status == "back" || x.Status == "purged" {
			until = "–"
		}
		state := x.Status
		if x.Status == "back" && x.By != "" {
			state += " (" + mask.Terminal(x.By) + ", " + ago(x.BackAt) + " ago)"
		}
		kept = kept || x.Status == "dropped"
		fmt.Fprintf(t, "%d\t%s\t%s\t%d\t%s\t%s\t%s\t%s ago\t%s\n", x.ID, mask.Terminal(x.Name), state, x.Rows, sizeOf(x.Size), mask.Terminal(x.Migration), x.Run, ago(x.At), until)
	}
	_ = t.Flush()
	if kept {
		fmt.Fprintf(w, "\nBring one back: shiplock migrate undrop %s NO\n", env)
	}
}

func sizeOf(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

func printUndropped(w io.Writer, done []wire.Trashed, purge bool) {
	for _, t := range done {
		if purge {
			fmt.Fprintf(w, "The copy of %s is deleted.\n", mask.Terminal(t.Name))
			continue
		}
		fmt.Fprintf(w, "%s is back, with the values of %d of %d rows.\n", mask.Terminal(t.Name), t.Returned, t.Rows)
		for _, n := range t.Notes {
			fmt.Fprintf(w, " ! %s\n", mask.Terminal(n))
		}
	}
	if len(done) == 0 {
		fmt.Fprintln(w, "There was nothing to do.")
	}
}
