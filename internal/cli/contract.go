package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

func (s *session) migrateContract() *cobra.Command {
	var explain, yes, override bool
	var reason, skipBackup string
	c := &cobra.Command{
		Use: "contract [environment]", Short: "Take away what no release needs any more, when its conditions are met", Args: cobra.MaximumNArgs(1), ValidArgsFunction: s.completeEnvironments,
		Long: "Carry out the contracts of the release that serves: migrations that take away what an older release\n" +
			"needs, and that no deployment carries out. Each has conditions: everything that runs was made after\n" +
			"it, its backfills are done, contract_after has passed since the last release that needed the old\n" +
			"shape stopped serving, no counted statement uses it since, and nothing in the schema needs it.\n" +
			"--explain shows them with their evidence and when they will be met, and changes nothing.\n" +
			"--override passes by what is about time and evidence, and needs a reason, which is recorded.",
		RunE: func(c *cobra.Command, args []string) error {
			if override && strings.TrimSpace(reason) == "" {
				return usage{fmt.Errorf("--override needs --reason")}
			}
			file, env, err := s.environment(args)
			if err != nil {
				return err
			}
			in := wire.NewRun{
				Verb: ship.VerbMigrate, Environment: env, By: s.who(), Reason: reason,
				Options: ship.Options{Contract: true, Override: override, SkipBackup: skipBackup},
			}
			return s.with(c.Context(), file.Server, func(ctx context.Context, cl *client.Client) error {
				return s.contract(ctx, cl, in, explain, yes)
			})
		},
	}
	f := c.Flags()
	f.BoolVar(&explain, "explain", false, "show the conditions and change nothing")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	f.BoolVar(&override, "override", false, "although the window is not over, or the evidence is not there")
	f.StringVar(&reason, "reason", "", "`why`, for the history")
	f.StringVar(&skipBackup, "skip-backup", "", "without a backup, for this `reason`")
	f.StringVar(&s.state, "state", "", "run without a server, with the state at this `URL`")
	return c
}

// contract shows on which conditions contracts may be carried out, asks, and
// carries them out. A refusal is one before the first step.
func (s *session) contract(ctx context.Context, cl *client.Client, in wire.NewRun, explain, yes bool) error {
	p, err := cl.Plan(ctx, in)
	if err != nil {
		return err
	}
	if explain {
		if p.Refused != nil && len(p.Waiting) == 0 && p.Refused.Kind != ship.NotFound {
			return refused(p)
		}
		return s.print(append([]ship.Waiting{}, p.Waiting...), func(w io.Writer) { printWaiting(w, p) })
	}
	if p.Refused != nil {
		for _, x := range p.Waiting {
			fmt.Fprintf(s.err, "%s\n", mask.Terminal(x.Migration.ID))
			printConditions(s.err, x)
		}
		return refused(p)
	}
	for _, m := range p.Migrations {
		printMigration(s.err, m)
	}
	for _, n := range p.Notes {
		fmt.Fprintf(s.err, " ! %s\n", mask.Terminal(n))
	}
	if !yes && !s.ask("Carry it out? What it takes away is gone") {
		return ship.Errorf(ship.Invalid, fmt.Sprintf("shiplock migrate contract %s --yes", in.Environment.ID.Name), "not confirmed, nothing was changed")
	}
	return s.runAndFollow(ctx, cl, in, false)
}

func refused(p ship.Plan) error {
	return &ship.Error{Kind: p.Refused.Kind, Hint: p.Refused.Hint, Err: fmt.Errorf("refused: %s", p.Refused.Reason)}
}

func printWaiting(w io.Writer, p ship.Plan) {
	if len(p.Waiting) == 0 {
		fmt.Fprintf(w, "No contract of v%d waits in %s.\n", p.To.Number, p.Environment)
		return
	}
	for _, x := range p.Waiting {
		printMigration(w, x.Migration)
		printConditions(w, x)
		if unmet, _ := plan.Unmet(x, false); len(unmet) == 0 {
			fmt.Fprintf(w, "  Next: shiplock migrate contract %s\n", p.Environment.Name)
		}
	}
}

// printConditions shows what a contract waits for; one that nobody looked at
// has none to show.
func printConditions(w io.Writer, x ship.Waiting) {
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	for _, c := range x.Conditions {
		sign := map[ship.ConditionState]string{ship.Met: "✓", ship.NotMet: "✗"}[c.State]
		if sign == "" {
			sign = "?"
		}
		text := mask.Terminal(c.Evidence)
		if !c.At.IsZero() {
			text += "; met at " + c.At.UTC().Format("2006-01-02 15:04 UTC")
		}
		fmt.Fprintf(t, "  %s %s\t%s\t%s\n", sign, c.Name, c.State, text)
		for _, u := range c.Uses {
			fmt.Fprintf(t, "\t\t· %s\n", mask.Terminal(u))
		}
		if c.Next != "" && c.State != ship.Met {
			fmt.Fprintf(t, "\t\t→ %s\n", mask.Terminal(c.Next))
		}
	}
	_ = t.Flush()
}

// printPhases says what of a release is carried out when.
func printPhases(w io.Writer, p ship.Plan) {
	if len(p.Waiting) == 0 {
		return
	}
	var backfills bool
	for _, st := range p.Steps {
		backfills = backfills || st.Kind == plan.Backfill
	}
	now := make([]string, len(p.Migrations))
	for i, m := range p.Migrations {
		now[i] = m.ID
	}
	later := make([]string, len(p.Waiting))
	for i, x := range p.Waiting {
		later[i] = x.Migration.ID
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	if len(now) > 0 {
		fmt.Fprintf(t, "  expand\tnow\t%s\n", strings.Join(now, ", "))
	}
	if backfills {
		fmt.Fprintln(t, "  backfill\tafter the watch\tsee the step")
	}
	fmt.Fprintf(t, "  contract\twaits\t%s\n", strings.Join(later, ", "))
	_ = t.Flush()
}
