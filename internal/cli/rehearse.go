package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// rehearsalGate is the kind of gate that judges rehearsals.
const rehearsalGate = "rehearsal"

// A rehearsal's flags, which go before what the environment's gate says.
type rehearsalFlags struct {
	release, downgrade, maxLock, maxTime, from string

	smoke   bool
	maxSize int64
	rows    map[string]int64
}

func (s *session) rehearseCommand() *cobra.Command {
	var f rehearsalFlags
	c := &cobra.Command{
		Use: "rehearse [environment]", Short: "Carry the pending migrations out on a copy of the database, and say what they did", Args: cobra.MaximumNArgs(1),
		Long: "Carry the pending migrations out on a copy of the environment's database, rows included, and say for\n" +
			"each statement which locks it took and held for how long, what it read, wrote and rewrote; which\n" +
			"statements of the running release worked before and fail after; and what each way down is worth:\n" +
			"exact, reordered, lossy, or fails. The copy is dropped. Limits are those of the environment's gate of\n" +
			"kind rehearsal, if it has one; flags go before them. It ends with 5 when the gate would not let pass.",
		ValidArgsFunction: s.completeEnvironments,
		RunE:              func(c *cobra.Command, args []string) error { return s.rehearse(c.Context(), args, f) },
	}
	c.Flags().StringVar(&f.release, "release", "", "of this `release` instead of this folder")
	c.Flags().StringVar(&f.downgrade, "downgrade", "", "what ways down must be worth: `off|report|reordered|exact`")
	c.Flags().StringVar(&f.maxLock, "max-lock", "", "a lock that keeps writers waiting may be held for `so long`")
	c.Flags().StringVar(&f.maxTime, "max-time", "", "a migration may take `so long`")
	c.Flags().StringVar(&f.from, "from", "", "make the copy of `database|backup|FILE`: the newest backup, or one by its path")
	c.Flags().BoolVar(&f.smoke, "smoke", false, "start the release that serves against the copy, too, and ask it for its health and smoke paths")
	c.Flags().Int64Var(&f.maxSize, "max-size", 0, "`MiB` of the largest database that is copied")
	c.Flags().StringToInt64Var(&f.rows, "rows", nil, "rows of a `table=number` in production, to project times to")
	return c
}

func (s *session) rehearse(ctx context.Context, args []string, f rehearsalFlags) error {
	file, env, err := s.environment(args)
	if err != nil {
		return err
	}
	g, err := f.gate(env)
	if err != nil {
		return err
	}
	return s.with(ctx, file.Server, func(ctx context.Context, cl *client.Client) error {
		rel, err := s.pick(ctx, cl, file, env, f.release)
		if err != nil {
			return err
		}
		s.say("rehearsing the migrations of v%d on a copy of the database of %s", rel.Number, env.ID)
		v, err := cl.Rehearse(ctx, wire.Rehearse{Environment: env, Release: rel.Number, Gate: g})
		if err != nil {
			return err
		}
		if err := s.print(v, func(w io.Writer) { printRehearsal(w, v) }); err != nil {
			return err
		}
		switch v.Outcome {
		case ship.Pass:
			return nil
		case ship.Fail:
			return ship.Errorf(ship.GateFailed, "", "%s", v.Reason)
		default:
			return ship.Errorf(ship.Inconclusive, "", "%s", v.Reason)
		}
	})
}

// gate returns the environment's own gate, with the flags before its settings.
func (f rehearsalFlags) gate(env ship.Environment) (ship.Plugin, error) {
	p := ship.Plugin{Kind: rehearsalGate}
	for _, g := range env.Gates {
		if g.Plugin.Kind == rehearsalGate {
			p = g.Plugin
			break
		}
	}
	settings := map[string]any{}
	if len(p.Config) > 0 {
		if err := json.Unmarshal(p.Config, &settings); err != nil {
			return p, fmt.Errorf("settings of the gate: %w", err)
		}
	}
	for name, text := range map[string]string{"downgrade": f.downgrade, "max_lock": f.maxLock, "max_time": f.maxTime, "from": f.from} {
		if text != "" {
			settings[name] = text
		}
	}
	if f.smoke {
		settings["smoke"] = true
	}
	if f.maxSize > 0 {
		settings["max_size"] = f.maxSize
	}
	if len(f.rows) > 0 {
		settings["rows"] = f.rows
	}
	var err error
	p.Config, err = json.Marshal(settings)
	return p, err
}

// printRehearsal shows a line for each statement, what breaks, what ways down
// are worth, and the verdict.
func printRehearsal(w io.Writer, v ship.Verdict) {
	r := v.Rehearsal
	if r == nil {
		return
	}
	if len(r.Migrations) > 0 {
		of := ""
		if r.Origin != "" {
			of = ", made of " + r.Origin
		}
		fmt.Fprintf(w, "Rehearsed on a copy of %s%s (%s, %d MiB), %s ago; %d statements of the running release as %s\n",
			mask.Terminal(r.Database), mask.Terminal(of), r.Server, r.Size>>20, ago(r.At), r.Probes, mask.Terminal(r.Role))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "  note: %s\n", mask.Terminal(n))
	}
	for _, m := range r.Migrations {
		fmt.Fprintf(w, "  %s\n", mask.Terminal(m.Migration))
		for _, e := range m.Effects {
			fmt.Fprintf(w, "    %8.1f ms  %s  %s\n", e.TookMS, mask.Terminal(work(e)), mask.Terminal(e.Statement))
		}
		if m.Failed != "" {
			fmt.Fprintf(w, "    ✗ fails: %s\n", mask.Terminal(m.Failed))
		}
		for _, b := range m.Broken {
			fmt.Fprintf(w, "    ✗ breaks (%s): %s\n      %s\n", b.Probe, mask.Terminal(b.Statement), mask.Terminal(strings.TrimSpace(b.Code+" "+b.Message)))
		}
		if d := m.Downgrade; d.Outcome != "" {
			fmt.Fprintf(w, "    way down: %s\n", d.Outcome)
			for _, what := range d.What {
				fmt.Fprintf(w, "      %s\n", mask.Terminal(what))
			}
		}
	}
	if r.Smoke != nil {
		fmt.Fprintf(w, "  smoke: %s\n", mask.Terminal(r.Smoke.Reason))
	}
	fmt.Fprintf(w, "%s: %s\n", v.Outcome, mask.Terminal(v.Reason))
}

// work says what a statement held and did.
func work(e ship.Effect) string {
	var said []string
	for _, l := range e.Locks {
		said = append(said, fmt.Sprintf("%s on %s", l.Mode, l.Table))
	}
	if len(said) > 0 {
		said = append(said, fmt.Sprintf("held %.1f ms", e.HeldMS))
	}
	if e.ProjectedMS > 0 {
		said = append(said, fmt.Sprintf("in production %.1f ms", e.ProjectedMS))
	}
	for _, t := range e.Rewritten {
		said = append(said, "rewrites "+t)
	}
	for _, t := range slices.Sorted(maps.Keys(e.Scanned)) {
		said = append(said, fmt.Sprintf("reads %d rows of %s", e.Scanned[t], t))
	}
	for _, t := range slices.Sorted(maps.Keys(e.Written)) {
		said = append(said, fmt.Sprintf("writes %d rows of %s", e.Written[t], t))
	}
	if e.WAL > 1<<20 {
		said = append(said, fmt.Sprintf("%d MiB of log", e.WAL>>20))
	}
	if e.Sampled {
		said = append(said, "locks seen from outside")
	}
	if len(said) == 0 {
		return "no lock on what was there before"
	}
	return strings.Join(said, ", ")
}
