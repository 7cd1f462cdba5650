package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

func (s *session) migrateCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "migrate", Short: "Look at the schema's migrations, apply them, take them back", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(s.migrateStatus(), s.migratePlan(), s.migrateUp(), s.migrateDown(), s.migrateContract(), s.migrateResolve(), s.migrateRewrite(), s.backfillCommand(), s.migrateUndrop())
	return c
}

// migrationsOf asks for the migrations of the named release, or of the folder.
func (s *session) migrationsOf(c *cobra.Command, args []string, name string, f func(context.Context, *client.Client, wire.Migrations) error) error {
	file, env, err := s.environment(args)
	if err != nil {
		return err
	}
	return s.with(c.Context(), file.Server, func(ctx context.Context, cl *client.Client) error {
		rel, err := s.pick(ctx, cl, file, env, name)
		if err != nil {
			return err
		}
		m, err := cl.Migrations(ctx, wire.Migrations{Environment: env, Release: rel.Number})
		if err != nil {
			return err
		}
		return f(ctx, cl, m)
	})
}

func (s *session) migrateStatus() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use: "status [environment]", Short: "List applied and pending migrations", Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			return s.migrationsOf(c, args, name, func(_ context.Context, _ *client.Client, m wire.Migrations) error {
				return s.print(m, func(w io.Writer) { printMigrations(w, m) })
			})
		},
	}
	c.Flags().StringVar(&name, "release", "", "of this `release` instead of this folder")
	return c
}

func printMigrations(w io.Writer, m wire.Migrations) {
	records := map[string]ship.Record{}
	for _, r := range m.Ledger {
		records[r.Migration] = r
	}
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "MIGRATION\tSTATE\tPHASE\tWAY DOWN\tRUN\tWHEN")
	for _, x := range m.Migrations {
		state, down := "pending", "yes"
		switch {
		case x.Applied:
			state = "applied"
		case x.Phase == ship.Contract:
			state = "waits"
		}
		if !x.Reversible {
			down = "no: " + mask.Terminal(x.WhyNot)
		}
		r, known := records[x.ID]
		phase, run, when := x.Phase, "–", "–"
		if known {
			run, when = r.Run, ago(r.At)+" ago"
			if r.Phase != "" {
				phase = r.Phase // as it was judged when it was applied, by what it did
			}
			switch {
			case r.Status == ship.RecordStarted:
				state = "begun, unknown"
			case r.Status == ship.RecordFailed && r.Statement < 0:
				state = fmt.Sprintf("its way down failed, %d statements done", -1-r.Statement)
			case r.Status == ship.RecordFailed:
				state = fmt.Sprintf("failed, %d statements done", r.Statement)
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", x.ID, state, phase, down, run, when)
	}
	for _, id := range m.Unknown {
		fmt.Fprintf(t, "%s\tapplied, no file in this release\t%s\t\t%s\t\n", id, records[id].Phase, records[id].Run)
	}
	_ = t.Flush()
	for _, x := range m.Waiting {
		fmt.Fprintf(w, "\n%s waits for a run of its own: shiplock migrate contract %s\n", x.Migration.ID, m.Environment.ID.Name)
		printConditions(w, x)
	}
	for _, p := range append(m.Problems, m.Dirty) {
		if p != "" {
			fmt.Fprintf(w, " ! %s\n", mask.Terminal(p))
		}
	}
}

func (s *session) migratePlan() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use: "plan [environment]", Short: "Show the pending migrations with their SQL and what is wrong with them", Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			return s.migrationsOf(c, args, name, func(_ context.Context, _ *client.Client, m wire.Migrations) error {
				var pending []ship.Migration
				for _, x := range m.Migrations {
					if !x.Applied {
						pending = append(pending, x)
					}
				}
				return s.print(pending, func(w io.Writer) {
					for _, x := range pending {
						printMigration(w, x)
					}
					if len(pending) == 0 {
						fmt.Fprintln(w, "Nothing is pending.")
					}
				})
			})
		},
	}
	c.Flags().StringVar(&name, "release", "", "of this `release` instead of this folder")
	return c
}

func (s *session) migrateUp() *cobra.Command {
	var d deployFlags
	var yes bool
	c := &cobra.Command{
		Use: "up [environment]", Short: "Apply the pending migrations the running release can live with, without deploying", Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			return s.withRelease(c.Context(), args, d, func(ctx context.Context, cl *client.Client, r asked) error {
				r.run.Verb, r.run.Reason = ship.VerbMigrate, d.reason
				return s.planAskAndFollow(ctx, cl, r.run, yes, "Apply them?", "shiplock migrate up "+r.run.Environment.ID.Name)
			})
		},
	}
	d.add(c, s)
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask where rows or values would be lost")
	c.Flags().StringVar(&d.reason, "reason", "", "`why`, for the history")
	return c
}

func (s *session) migrateDown() *cobra.Command {
	var name, reason, skipBackup string
	var yes bool
	c := &cobra.Command{
		Use: "down environment migration", Short: "Take an applied migration back, and those that build on it", Args: cobra.ExactArgs(2),
		Long: "Take an applied migration back, and those that build on it, newest first. Everything is refused\nbefore the first step when one of them has no way down, or when the release that serves needs it.\nThe way down comes from the release that holds the migration. What would be lost is shown before\nit is asked for; a backup is taken first. It is a run like any other, in the history.",
		RunE: func(c *cobra.Command, args []string) error {
			file, env, err := s.environment(args[:1])
			if err != nil {
				return err
			}
			return s.with(c.Context(), file.Server, func(ctx context.Context, cl *client.Client) error {
				rel, err := s.holder(ctx, cl, file, args[0], args[1], name)
				if err != nil {
					return err
				}
				in := wire.NewRun{
					Verb: ship.VerbMigrate, Environment: env, Release: rel.Number, By: s.who(), Reason: reason,
					Options: ship.Options{Down: args[1], SkipBackup: skipBackup},
				}
				return s.planAskAndFollow(ctx, cl, in, yes, "Take it back?", fmt.Sprintf("shiplock migrate down %s %s", args[0], args[1]))
			})
		},
	}
	c.Flags().StringVar(&name, "release", "", "with the files of this `release`")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Flags().StringVar(&skipBackup, "skip-backup", "", "take it back without a backup, for this `reason`")
	c.Flags().StringVar(&reason, "reason", "", "`why`, for the history")
	return c
}

// planAskAndFollow shows what a run of verb migrate would do, asks where data
// would be lost, and carries it out. A refusal is one before the first step.
func (s *session) planAskAndFollow(ctx context.Context, cl *client.Client, in wire.NewRun, yes bool, question, command string) error {
	p, err := cl.Plan(ctx, in)
	if err != nil {
		return err
	}
	if p.Refused != nil {
		return &ship.Error{Kind: p.Refused.Kind, Hint: p.Refused.Hint, Err: fmt.Errorf("refused: %s", p.Refused.Reason)}
	}
	losing := in.Options.Down != ""
	for _, m := range p.Migrations {
		losing = losing || !m.Exact
		if !m.Exact && in.Options.Down == "" {
			p.Notes = append(p.Notes, m.ID+" removes or changes rows or values: "+strings.Join(m.Findings, " "))
		}
	}
	if losing {
		for _, m := range p.Migrations {
			fmt.Fprintf(s.err, "  %s\n", mask.Terminal(m.ID))
		}
		for _, n := range p.Notes {
			fmt.Fprintf(s.err, " ! %s\n", mask.Terminal(n))
		}
		if !yes && !s.ask(question) {
			return ship.Errorf(ship.Invalid, command+" --yes", "not confirmed, nothing was changed")
		}
	}
	return s.runAndFollow(ctx, cl, in, false)
}

// holder returns the newest release that holds a migration.
func (s *session) holder(ctx context.Context, cl *client.Client, file *config.File, env, id, name string) (ship.Release, error) {
	all, err := cl.Releases(ctx, file.App)
	if err != nil {
		return ship.Release{}, err
	}
	for _, r := range all {
		if name != "" && name != fmt.Sprintf("v%d", r.Number) {
			continue
		}
		for _, m := range r.Migrations {
			if m.ID == id {
				return r, nil
			}
		}
	}
	return ship.Release{}, ship.Errorf(ship.NotFound, "shiplock migrate status "+env, "no release holds migration %s", id)
}

func (s *session) migrateResolve() *cobra.Command {
	var as string
	c := &cobra.Command{
		Use: "resolve environment migration", Short: "Say what became of a migration nobody saw the end of", Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if as != "applied" && as != "not-applied" {
				return usage{fmt.Errorf("give --as applied or --as not-applied")}
			}
			file, env, err := s.environment(args[:1])
			if err != nil {
				return err
			}
			return s.with(c.Context(), file.Server, func(ctx context.Context, cl *client.Client) error {
				r := wire.Resolve{Environment: env, Migration: args[1], As: strings.ReplaceAll(as, "-", " "), By: s.who()}
				if err := cl.ResolveMigration(ctx, r); err != nil {
					return err
				}
				return s.print(r, func(w io.Writer) { fmt.Fprintf(w, "%s is %s\n", r.Migration, r.As) })
			})
		},
	}
	c.Flags().StringVar(&as, "as", "", "what became of it: `applied|not-applied`")
	return c
}
