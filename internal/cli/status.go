package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

func (s *session) statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "status [environment]", Short: "Show what runs where, since when, by whom, and what was before", Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			return s.with(c.Context(), s.configuredServer(), func(ctx context.Context, cl *client.Client) error {
				app, env := s.appName(), ""
				if len(args) > 0 {
					env = args[0]
				}
				all, err := cl.Status(ctx, app, env)
				if err != nil {
					return err
				}
				if err := s.mistaken(env, len(all)); err != nil {
					return err
				}
				return s.print(all, func(w io.Writer) { printStatus(w, all) })
			})
		},
	}
	c.Flags().StringVar(&s.state, "state", "", "run without a server, with the state at this `URL`")
	return c
}

// mistaken refuses the name of an environment of which nothing was found and
// which the configuration here, if there is one, does not have.
func (s *session) mistaken(env string, found int) error {
	f, err := s.load()
	if err != nil || env == "" || found > 0 {
		return nil //nolint:nilerr // without a configuration every name may be right
	}
	_, err = f.Environment(env)
	return err
}

// appName returns the configured app, or "" for all when there is no
// configuration here.
func (s *session) appName() string {
	f, err := s.load()
	if err != nil {
		return ""
	}
	return f.App
}

func printStatus(w io.Writer, all []wire.EnvironmentStatus) {
	if len(all) == 0 {
		fmt.Fprintln(w, "Nothing was deployed yet.\nNext: shiplock deploy")
		return
	}
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ENVIRONMENT\tRELEASE\tSTATE\tSINCE\tBY\tREQUESTS\tERRORS\tP95\tPREVIOUS GOOD\t")
	for _, e := range all {
		rel, since, previous := "–", "–", "–"
		if e.Release != nil {
			rel, since = releaseName(*e.Release), ago(e.Since)
		}
		if e.Previous != nil {
			previous = fmt.Sprintf("v%d", e.Previous.Number)
		}
		c := e.Observed.Slots[e.Observed.Active].Counters
		errors := "–"
		if c.Requests > 0 {
			errors = fmt.Sprintf("%.2f %%", 100*float64(c.Errors)/float64(c.Requests))
		}
		note := mask.Terminal(e.Note)
		if e.Open != nil {
			note = fmt.Sprintf("%s %s: %s v%d", e.Open.ID, e.Open.Status, e.Open.Request.Word(), e.Open.Request.Release.Number)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", e.ID, rel, icon(e.State)+" "+stateText(e), since, e.By, c.Requests, errors, c.P95.Round(time.Millisecond), previous, note)
	}
	_ = t.Flush()
	printDrains(w, all)
	printBars(w, all)
	for _, e := range all {
		for _, id := range e.Waiting {
			until := ""
			if at := e.Windows[id]; !at.IsZero() {
				until = ", its window is over at " + at.UTC().Format("2006-01-02 15:04 UTC")
			}
			fmt.Fprintf(w, "%s: %s is a contract that waits%s: shiplock migrate contract %s --explain\n", e.ID, id, until, e.ID.Name)
		}
	}
}

// printDrains says which requests an old release still has.
func printDrains(w io.Writer, all []wire.EnvironmentStatus) {
	for _, e := range all {
		for _, slot := range []ship.Slot{ship.Blue, ship.Green} {
			if s := e.Observed.Slots[slot]; s.Draining && len(s.Left) > 0 {
				fmt.Fprintf(w, "%s: v%d drains, %s left\n", e.ID, s.Release.Number, ship.Enumerate(s.Left))
			}
		}
	}
}

// stateText is the state in words, and of a watch how far it has come.
func stateText(e wire.EnvironmentStatus) string {
	w := e.Observed.Watch
	switch {
	case w == nil || e.State != "watching":
		return e.State
	case w.Healthy:
		return e.State + ", proven"
	}
	return e.State + ", not proven yet"
}

func icon(state string) string {
	switch state {
	case "healthy", "watching":
		return "●"
	case "restored":
		return "↩"
	case "empty":
		return "○"
	}
	return "▲"
}

func releaseName(r ship.Release) string {
	text := fmt.Sprintf("v%d", r.Number)
	if c := r.Artifact.Commit; c != "" {
		text += " (" + c[:min(7, len(c))] + ")"
	}
	return text
}

func ago(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	d := time.Since(t)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

func (s *session) upCommand() *cobra.Command {
	var metrics string
	var elsewhere bool
	c := &cobra.Command{
		Use: "up", Short: "Run the server, and the node of this machine", Args: cobra.NoArgs,
		Long: "Run the server in the foreground and keep the node of this machine running. The node, and what it\nserves, goes on when the server is stopped or killed.",
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := s.options()
			if err != nil {
				return err
			}
			o.Metrics, o.NodeElsewhere = metrics, elsewhere
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return serve(ctx, o, func() { s.say("shiplock %s serves at %s", o.Version, socketOf(o)) })
		},
	}
	c.Flags().BoolVar(&elsewhere, "node-elsewhere", false, "never start the node: systemd, or somebody else, keeps it running")
	c.Flags().StringVar(&metrics, "metrics", "", "loopback `address` at which /metrics and /node/metrics can be read")
	return c
}
