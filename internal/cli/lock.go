package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

func (s *session) lockCommand() *cobra.Command {
	var reason string
	var long time.Duration
	c := &cobra.Command{
		Use: "lock environment", Short: "Keep deployments away from an environment", Args: cobra.ExactArgs(1),
		Long: "Keep deployments and promotions away from an environment, until it is unlocked or its time is over.\n" +
			"Whoever is refused sees who locked it, why and until when. What waits in the queue goes on waiting.\n" +
			"A run that is under way goes on; a rollback is always allowed.",
		Example:           "  shiplock lock production --reason 'the sale' --for 2h",
		ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return usage{fmt.Errorf("give the reason: shiplock lock %s --reason '…'", args[0])}
			}
			if c.Flags().Changed("for") && long <= 0 {
				return usage{fmt.Errorf("--for is a length of time such as 2h, not %s", long)}
			}
			return s.withLock(c.Context(), args[0], func(ctx context.Context, cl *client.Client, in wire.Lock) error {
				in.Reason, in.For = reason, long
				l, err := cl.Lock(ctx, in)
				if err != nil {
					return err
				}
				return s.print(l, func(w io.Writer) { fmt.Fprintf(w, "%s is %s\n", args[0], lockText(l.Lock)) })
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "`why`; whoever is refused sees it")
	c.Flags().DurationVar(&long, "for", 0, "unlock by itself after `so long`; without it somebody has to")
	return c
}

func (s *session) unlockCommand() *cobra.Command {
	return &cobra.Command{
		Use: "unlock environment", Short: "Let deployments into an environment again", Args: cobra.ExactArgs(1),
		ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			return s.withLock(c.Context(), args[0], func(ctx context.Context, cl *client.Client, in wire.Lock) error {
				l, err := cl.Unlock(ctx, in)
				if err != nil {
					return err
				}
				return s.print(l, func(w io.Writer) {
					if !l.Locked {
						fmt.Fprintf(w, "%s was not locked\n", args[0])
						return
					}
					fmt.Fprintf(w, "%s is unlocked; it was %s\n", args[0], lockText(l.Lock))
				})
			})
		},
	}
}

// withLock names an environment of the configuration to the server.
func (s *session) withLock(ctx context.Context, name string, f func(context.Context, *client.Client, wire.Lock) error) error {
	file, env, err := s.environment([]string{name})
	if err != nil {
		return err
	}
	s.onlyHere = nil // no file of its is needed
	return s.with(ctx, file.Server, func(ctx context.Context, cl *client.Client) error {
		return f(ctx, cl, wire.Lock{Lock: ship.Lock{Environment: env.ID, By: s.who()}})
	})
}

func lockText(l ship.Lock) string {
	until := ""
	if !l.Until.IsZero() {
		until = " until " + moment(l.Until)
	}
	return fmt.Sprintf("locked%s by %s: %s", until, l.By, mask.Terminal(l.Reason))
}

// moment writes a time with its zone.
func moment(t time.Time) string { return t.Format("2006-01-02 15:04 MST") }

// printBars says what keeps deployments away, and what waits.
func printBars(w io.Writer, all []wire.EnvironmentStatus) {
	for _, e := range all {
		if e.Lock != nil {
			fmt.Fprintf(w, "%s: %s\n", e.ID, lockText(*e.Lock))
		}
		if e.Frozen != nil {
			fmt.Fprintf(w, "%s: frozen until %s: %s\n", e.ID, moment(e.Frozen.Until), mask.Terminal(e.Frozen.Reason))
		}
		if q := e.Queued; q != nil {
			fmt.Fprintf(w, "%s: %s (%s v%d, by %s) %s\n", e.ID, q.ID, q.Request.Word(), q.Request.Release.Number, q.Request.By, mask.Terminal(q.Result.Reason))
		}
	}
}
