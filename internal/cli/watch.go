package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

const (
	watchEvery   = time.Second
	watchSeconds = 60 // of traffic that are shown
	rateSeconds  = 10 // of which the rate is taken
	barWidth     = 24
)

func (s *session) watchCommand() *cobra.Command {
	var once bool
	c := &cobra.Command{
		Use: "watch [environment|run]", Short: "Show the traffic and the evidence of an environment, or a run, live", Args: cobra.MaximumNArgs(1),
		Long: "With an environment: what each slot has to do, and how far the evidence is from a rollback, until the\n" +
			"watch is over. With a run, or nothing: the run's steps, those of the newest by default.",
		Example:           "  shiplock watch production\n  shiplock watch d-118\n  shiplock watch production --once -o json",
		ValidArgsFunction: s.completeEnvironments,
		RunE: func(c *cobra.Command, args []string) error {
			return s.with(c.Context(), s.configuredServer(), func(ctx context.Context, cl *client.Client) error {
				if len(args) > 0 {
					all, err := cl.Status(ctx, s.appName(), args[0])
					if err != nil {
						return err
					}
					if len(all) > 0 {
						return s.watchEnvironment(ctx, cl, all[0].ID, once)
					}
				}
				id, err := s.runID(ctx, cl, args)
				if err != nil {
					return err
				}
				return s.follow(ctx, cl, id, 0)
			})
		},
	}
	c.Flags().BoolVar(&once, "once", false, "show it once and end")
	return c
}

// watchEnvironment shows an environment every second until its watch is over,
// or until we are interrupted when nothing is watched. What is no terminal gets
// one picture; JSON is one object a line.
func (s *session) watchEnvironment(ctx context.Context, cl *client.Client, id ship.EnvironmentID, once bool) error {
	lines := 0
	for {
		t, err := cl.Traffic(ctx, id.App, id.Name, watchSeconds)
		if err != nil {
			return err
		}
		watched := t.Observed.Watch != nil && t.Observed.Watch.Verdict.Outcome == ship.Wait
		if s.json() {
			if err := json.NewEncoder(s.out).Encode(t); err != nil {
				return err
			}
		} else {
			var text strings.Builder
			printTraffic(&text, t, time.Now())
			if lines > 0 {
				fmt.Fprintf(s.out, "\x1b[%dA\x1b[J", lines)
			}
			lines = strings.Count(text.String(), "\n")
			fmt.Fprint(s.out, text.String())
		}
		live := s.terminal(s.out) && (watched || t.Observed.Watch == nil)
		if once || s.json() && !watched || !s.json() && !live {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchEvery):
		}
	}
}

// judged is what is shown of the evidence of a guard.
type judged struct {
	Tests []struct {
		Name   string  `json:"name"`
		Marked int64   `json:"marked"`
		Trials int64   `json:"trials"`
		E      float64 `json:"e"`
		Line   float64 `json:"line"`
	} `json:"tests"`
	Failures []struct {
		At     time.Time     `json:"at"`
		Method string        `json:"method"`
		Path   string        `json:"path"`
		Status int           `json:"status"`
		Why    string        `json:"why"`
		Took   time.Duration `json:"took"`
	} `json:"failures"`
}

// printTraffic draws an environment: its slots, the evidence, the verdict.
func printTraffic(w io.Writer, t wire.Traffic, now time.Time) {
	o := t.Observed
	fmt.Fprintf(w, "%s  %s%s\n", t.ID, t.State, left(o.Watch, now))
	table := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(table, " \tSLOT\tRELEASE\tREQ/S\tERRORS\tP50\tP95\tP99\tLAST MINUTE")
	for _, slot := range []ship.Slot{ship.Blue, ship.Green} {
		st, ok := o.Slots[slot]
		if !ok {
			continue
		}
		mark := " "
		if slot == o.Active {
			mark = "●"
		}
		c, seconds := st.Counters, t.Evidence.Slots[slot]
		fmt.Fprintf(table, " %s\t%s\tv%d\t%.1f\t%s\t%s\t%s\t%s\t%s\n", mark, slot, st.Release.Number, rate(seconds),
			share(c.Errors, c.Requests), brief(c.P50), brief(c.P95), brief(c.P99), sparkline(seconds))
	}
	_ = table.Flush()
	if o.Watch == nil {
		return
	}
	var j judged
	if json.Unmarshal(t.Evidence.Judged, &j) == nil {
		printEvidence(w, j)
	}
	fmt.Fprintf(w, " %s\n", mask.Terminal(o.Watch.Verdict.Reason))
	for _, text := range []string{o.Watch.Alert, o.Watch.After} {
		if text != "" {
			fmt.Fprintf(w, " ! %s\n", mask.Terminal(text))
		}
	}
}

// printEvidence draws how far each test is from the line at which traffic goes
// back, and the first request that failed.
func printEvidence(w io.Writer, j judged) {
	table := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	for _, t := range j.Tests {
		fmt.Fprintf(table, " %s\t%s\t%d of %d\tevidence %s of %.0f\n", bar(t.E, t.Line), t.Name, t.Marked, t.Trials, amount(t.E), t.Line)
	}
	_ = table.Flush()
	if len(j.Failures) > 0 {
		f := j.Failures[0]
		why := f.Why
		if why == "" {
			why = fmt.Sprint(f.Status)
		}
		fmt.Fprintf(w, " First: %s %s %s at %s UTC\n", f.Method, mask.Terminal(f.Path), why, f.At.UTC().Format(time.TimeOnly))
	}
}

// left says how long the watch goes on, and how much of the traffic it has.
func left(w *platform.WatchStatus, now time.Time) string {
	if w == nil || w.Verdict.Outcome != ship.Wait {
		return ""
	}
	text := fmt.Sprintf(", %s of %s left", w.Until.Sub(now).Round(time.Second), w.Until.Sub(w.Began).Round(time.Second))
	if w.Percent > 0 {
		text += fmt.Sprintf(", %g %% of the requests", w.Percent)
	}
	switch {
	case w.Healthy:
		text += ", healthy (proven)"
	case w.Quiet != "":
		text += ", not proven yet"
	}
	return text
}

// bar fills up with the logarithm of the evidence: it is full at the line.
func bar(e, line float64) string {
	filled := 0
	if e > 1 && line > 1 {
		filled = min(int(math.Log(e)/math.Log(line)*barWidth), barWidth)
	}
	return strings.Repeat("█", filled) + strings.Repeat("·", barWidth-filled)
}

func amount(e float64) string {
	if e >= 1e6 {
		return fmt.Sprintf("%.0e", e)
	}
	return fmt.Sprintf("%.3g", e)
}

func rate(seconds []platform.TrafficCount) float64 {
	recent := seconds[max(len(seconds)-rateSeconds, 0):]
	var n int64
	for _, c := range recent {
		n += c.Requests
	}
	return float64(n) / float64(max(len(recent), 1))
}

func share(part, all int64) string {
	if all == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f %%", 100*float64(part)/float64(all))
}

func brief(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	if d < 10*time.Millisecond {
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// sparkline draws the requests of the seconds. One in which requests failed
// is marked.
func sparkline(seconds []platform.TrafficCount) string {
	const steps = "▁▂▃▄▅▆▇█"
	levels := []rune(steps)
	seconds = seconds[max(len(seconds)-barWidth, 0):]
	var top int64
	for _, c := range seconds {
		top = max(top, c.Requests)
	}
	var line strings.Builder
	for _, c := range seconds {
		switch {
		case c.Errors > 0:
			line.WriteRune('✗')
		case c.Requests == 0:
			line.WriteRune(' ')
		default:
			line.WriteRune(levels[int(c.Requests*int64(len(levels)-1)/top)])
		}
	}
	return line.String()
}
