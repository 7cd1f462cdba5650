package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

func (s *session) backupCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "backup [environment]", Short: "Save the environment's database now, encrypted and verified", Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			file, env, err := s.environment(args)
			if err != nil {
				return err
			}
			return s.with(c.Context(), file.Server, func(ctx context.Context, cl *client.Client) error {
				b, err := cl.Backup(ctx, wire.Backup{Environment: env})
				if err != nil {
					return err
				}
				return s.print(b, func(w io.Writer) { fmt.Fprintln(w, b.Path) })
			})
		},
	}
	c.AddCommand(s.backupList())
	return c
}

func (s *session) backupList() *cobra.Command {
	return &cobra.Command{
		Use: "ls [environment]", Short: "List the backups of the environment's database, newest first", Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			file, env, err := s.environment(args)
			if err != nil {
				return err
			}
			return s.with(c.Context(), file.Server, func(ctx context.Context, cl *client.Client) error {
				all, err := cl.Backups(ctx, env)
				if err != nil {
					return err
				}
				return s.print(all, func(w io.Writer) { printBackups(w, env.ID, all) })
			})
		},
	}
}

func printBackups(w io.Writer, env ship.EnvironmentID, all []wire.Copy) {
	if len(all) == 0 {
		fmt.Fprintf(w, "There is no backup yet.\nNext: shiplock backup %s\n", env.Name)
		return
	}
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "TAKEN\tSIZE\tKIND\tRUN\tBEFORE\tFILE")
	for _, c := range all {
		release := "–"
		if c.Release > 0 {
			release = fmt.Sprintf("v%d", c.Release)
		}
		fmt.Fprintf(t, "%s ago\t%s\t%s\t%s\t%s\t%s\n", ago(c.At), size(c.Size), dash(c.Kind), dash(c.Run), release, c.Path)
	}
	_ = t.Flush()
}

func dash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

func (s *session) restoreCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "restore environment file", Short: "Put a backup back; the site has to be closed", Args: cobra.ExactArgs(2),
		Long: "Put a backup back: into a new database, which then takes the place of the present one by renaming.\nThe present one is kept. The environment has to show its maintenance page, since what users write\nmeanwhile would be lost. Before it asks, it shows what was written since the backup.",
		RunE: func(c *cobra.Command, args []string) error {
			file, env, err := s.environment(args[:1])
			if err != nil {
				return err
			}
			in := wire.Backup{Environment: env, Path: args[1]}
			if !filepath.IsAbs(in.Path) {
				return ship.Errorf(ship.Invalid, "shiplock backup ls "+args[0], "%s is not absolute, and the server may be elsewhere", in.Path)
			}
			return s.with(c.Context(), file.Server, func(ctx context.Context, cl *client.Client) error {
				in.Preview = true
				lost, err := cl.Restore(ctx, in)
				if err != nil {
					return err
				}
				s.showLost(lost)
				if !yes && !s.ask("Put it back?") {
					return ship.Errorf(ship.Invalid, fmt.Sprintf("shiplock restore %s %s --yes", args[0], args[1]), "not confirmed: this puts another database in the place of the present one; nothing was changed")
				}
				in.Preview = false
				b, err := cl.Restore(ctx, in)
				if err != nil {
					return err
				}
				return s.print(b, func(w io.Writer) {
					fmt.Fprintf(w, "restored; the database as it was is kept as %s\nNext: shiplock maintenance off %s\n", b.Kept, args[0])
				})
			})
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

// showLost says what a restore would lose.
func (s *session) showLost(b wire.Backup) {
	of := ""
	if b.Copy.Run != "" {
		of = " of run " + b.Copy.Run
	}
	fmt.Fprintf(s.err, "The backup%s was taken at %s, %s ago.\n", of, b.Copy.At.Format("2006-01-02 15:04:05 UTC"), ago(b.Copy.At))
	switch {
	case b.Untold != "":
		fmt.Fprintf(s.err, " ! what was written since cannot be told: %s\n", mask.Terminal(b.Untold))
	case len(b.Written) == 0:
		fmt.Fprintln(s.err, "Nothing was written since, as far as the database can tell.")
	default:
		fmt.Fprintln(s.err, "Rows written since, which would be gone:")
		for _, t := range b.Written {
			fmt.Fprintf(s.err, "  %s\t%d\n", mask.Terminal(t.Table), t.Rows)
		}
	}
}
