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
)

func (s *session) planCommand() *cobra.Command {
	var d deployFlags
	c := &cobra.Command{
		Use: "plan [environment]", Short: "Show what a deployment would do, and do nothing", Args: cobra.MaximumNArgs(1),
		Long:              "Show what a deployment would do: its steps, the migrations with their SQL, the settings that\nchange, and for each step what happens when it fails. The release is packed and prepared in a\nfolder of its own, since only then can its tool show SQL; nothing that serves is touched.",
		ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			return s.withRelease(c.Context(), args, d, func(ctx context.Context, cl *client.Client, r asked) error {
				return s.showPlan(ctx, cl, r)
			})
		},
	}
	d.add(c, s)
	return c
}

// showPlan shows what a deployment would do.
func (s *session) showPlan(ctx context.Context, cl *client.Client, r asked) error {
	r.run.Verb = ship.VerbDeploy
	s.say("planning v%d for %s%s", r.run.Release, r.run.Environment.ID, installs(r.run.Environment))
	p, err := cl.Plan(ctx, r.run)
	if err != nil {
		return err
	}
	if err := s.print(p, func(w io.Writer) { printPlan(w, p) }); err != nil {
		return err
	}
	if p.Refused != nil {
		return &ship.Error{Kind: p.Refused.Kind, Hint: p.Refused.Hint, Err: fmt.Errorf("refused: %s", p.Refused.Reason)}
	}
	return nil
}

// installs says what may take a while before a plan can be made.
func installs(env ship.Environment) string {
	if env.Run.Python == nil {
		return ""
	}
	return "; a new set of requirements is installed first"
}

func printPlan(w io.Writer, p ship.Plan) {
	from := "nothing"
	if p.From != nil {
		from = fmt.Sprintf("v%d", p.From.Number)
	}
	fmt.Fprintf(w, "%s: %s → v%d\n", p.Environment, from, p.To.Number)
	for _, n := range p.Notes {
		fmt.Fprintf(w, " ! %s\n", mask.Terminal(n))
	}
	printPhases(w, p)
	for _, m := range p.Migrations {
		printMigration(w, m)
	}
	for _, x := range p.Waiting {
		printMigration(w, x.Migration)
		printConditions(w, x)
	}
	if p.Rehearsal != nil {
		fmt.Fprintln(w)
		printRehearsal(w, *p.Rehearsal)
	}
	if len(p.Settings) > 0 {
		fmt.Fprintf(w, "\nSettings that change:\n")
	}
	for _, c := range p.Settings {
		fmt.Fprintf(w, "  %s: %q → %q\n", c.Name, c.From, c.To)
	}
	fmt.Fprintf(w, "\n%-16s %s\n", "STEP", "WHY; WHEN IT FAILS")
	for _, st := range p.Steps {
		fmt.Fprintf(w, "%-16s %s\n%-16s ✗ %s\n", st.Name, mask.Terminal(st.Reason), "", st.OnFail)
	}
}

func printMigration(w io.Writer, m ship.Migration) {
	words := []string{string(m.Phase)}
	if !m.Atomic {
		words = append(words, "not atomic")
	}
	if !m.Reversible {
		words = append(words, "no way down: "+m.WhyNot)
	}
	if m.Declared != "" {
		words = append(words, fmt.Sprintf("declared %s: %s", m.Declared, m.Reason))
	}
	fmt.Fprintf(w, "\nMigration %s  (%s)\n", m.ID, mask.Terminal(strings.Join(words, ", ")))
	for _, f := range m.Findings {
		fmt.Fprintf(w, "  ! %s\n", mask.Terminal(f))
	}
	for _, h := range m.Hazards {
		fmt.Fprintf(w, "  ~ %s\n", mask.Terminal(h))
	}
	for _, text := range m.Ignored {
		fmt.Fprintf(w, "  - %s\n", mask.Terminal(text))
	}
	for line := range strings.Lines(m.SQL) {
		fmt.Fprintf(w, "  │ %s\n", mask.Terminal(strings.TrimRight(line, "\n")))
	}
	if m.SQL == "" {
		for _, op := range m.Operations {
			fmt.Fprintf(w, "  · %s\n", mask.Terminal(op))
		}
	}
}
