package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

func (s *session) rollbackCommand() *cobra.Command {
	var yes bool
	var reason, wait string
	c := &cobra.Command{
		Use: "rollback [environment [release]]", Short: "Go back to the previous good release, or to the named one", Args: cobra.MaximumNArgs(2),
		Long:              "Go back to the previous good release, or to the named one, with the settings it ran with. The\nschema stays: what was applied since are changes the older release can live with; where one is\nnot, going back is refused before anything is changed. A watch that goes on is ended first.",
		ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			if err := s.waits(wait); err != nil {
				return err
			}
			file, env, err := s.environment(args[:min(len(args), 1)])
			if err != nil {
				return err
			}
			in := wire.NewRun{Verb: ship.VerbRollback, Environment: env, By: s.who(), Reason: reason}
			if len(args) > 1 {
				if in.Release, err = strconv.Atoi(strings.TrimPrefix(args[1], "v")); err != nil || in.Release < 1 {
					return usage{fmt.Errorf("%q is no release: give its number, such as v41", args[1])}
				}
			}
			return s.with(c.Context(), file.Server, func(ctx context.Context, cl *client.Client) error {
				if done, err := s.endWatch(ctx, cl, env.ID, yes); done || err != nil {
					return err
				}
				p, err := cl.Plan(ctx, in)
				if err != nil {
					return err
				}
				if p.Refused != nil {
					return &ship.Error{Kind: p.Refused.Kind, Hint: p.Refused.Hint, Err: fmt.Errorf("refused: %s", p.Refused.Reason)}
				}
				if !yes && !s.confirm(p) {
					return ship.Errorf(ship.Invalid, strings.Join(append([]string{"shiplock rollback"}, args...), " ")+" --yes", "not confirmed, nothing was changed")
				}
				in.Release = p.To.Number
				return s.runAndFollow(ctx, cl, in, false)
			})
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Flags().StringVar(&reason, "reason", "", "`why`, for the history")
	waitFlag(c, &wait)
	c.Flags().StringVar(&s.state, "state", "", "run without a server, with the state at this `URL`")
	return c
}

// confirm shows what changes and asks.
func (s *session) confirm(p ship.Plan) bool {
	from := "nothing"
	if p.From != nil {
		from = fmt.Sprintf("v%d", p.From.Number)
	}
	fmt.Fprintf(s.err, "%s: %s → v%d\n", p.Environment, from, p.To.Number)
	for _, ch := range p.Settings {
		fmt.Fprintf(s.err, "  %s: %q → %q\n", ch.Name, ch.From, ch.To)
	}
	for _, n := range p.Notes {
		fmt.Fprintf(s.err, " ! %s\n", n)
	}
	return s.ask("Go back?")
}

// ask asks a person. Without a terminal nobody can answer, and the answer is no.
func (s *session) ask(question string) bool {
	if !s.terminal(s.err) {
		return false
	}
	fmt.Fprint(s.err, question+" [y/N] ")
	line, err := bufio.NewReader(s.in).ReadString('\n')
	return err == nil && strings.EqualFold(strings.TrimSpace(line), "y")
}

func (s *session) abortCommand() *cobra.Command {
	return &cobra.Command{
		Use: "abort run", Short: "Abort a run before its swap; the old release goes on serving", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			err := s.signalAndFollow(c.Context(), args[0], wire.NewSignal{Name: "cancel", By: s.who()})
			if errors.Is(err, errAborted) {
				return nil // what was asked for was done
			}
			return err
		},
	}
}

func (s *session) resumeCommand() *cobra.Command {
	var migration, as string
	c := &cobra.Command{
		Use: "resume run", Short: "Let a paused run go on, or end the watch of one and let its release stay", Args: cobra.ExactArgs(1),
		Example: "  shiplock resume d-12\n  shiplock resume d-12 --migration catalog.0002_price --as applied",
		RunE: func(c *cobra.Command, args []string) error {
			sig := wire.NewSignal{Name: "resume", By: s.who()}
			if migration != "" || as != "" {
				if migration == "" || as != "applied" && as != "not-applied" {
					return usage{fmt.Errorf("give --migration with --as applied or --as not-applied")}
				}
				sig.Name, sig.Migration, sig.As = "resolve", migration, strings.ReplaceAll(as, "-", " ")
			}
			return s.signalAndFollow(c.Context(), args[0], sig)
		},
	}
	c.Flags().StringVar(&migration, "migration", "", "the `migration` you looked at")
	c.Flags().StringVar(&as, "as", "", "what became of it: `applied|not-applied`")
	return c
}

// signalAndFollow leaves a word for a run and shows what it does with it.
func (s *session) signalAndFollow(ctx context.Context, id string, sig wire.NewSignal) error {
	return s.with(ctx, s.configuredServer(), func(ctx context.Context, cl *client.Client) error {
		after, err := cl.LastEvent(ctx, id)
		if err != nil {
			return err
		}
		if err := cl.Signal(ctx, id, sig); err != nil {
			return err
		}
		return s.follow(ctx, cl, id, after)
	})
}
