package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/analysis/report"
	"github.com/shiplock/shiplock/internal/client"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

func (s *session) explainCommand() *cobra.Command {
	var asReport, replay bool
	c := &cobra.Command{
		Use: "explain [run]", Short: "Say what a run did, step by step, and why it ended as it did", Args: cobra.MaximumNArgs(1),
		Long: "Say what a run did, step by step, and why it ended as it did.\n\n" +
			"With --report, write the report of its watch as Markdown (-o json to keep or replay it).\n" +
			"With --replay, judge the watch again from the counters that were recorded, of a run or of a report in a file,\n" +
			"and say whether the verdict is the same.",
		RunE: func(c *cobra.Command, args []string) error {
			if asReport && replay {
				return usage{fmt.Errorf("--report and --replay exclude each other")}
			}
			if replay && len(args) == 1 && isFile(args[0]) {
				run, ev, err := readEvidence(args[0])
				if err != nil {
					return err
				}
				return s.replay(run, ev)
			}
			return s.with(c.Context(), s.configuredServer(), func(ctx context.Context, cl *client.Client) error {
				return s.explain(ctx, cl, args, asReport, replay)
			})
		},
	}
	c.Flags().BoolVar(&asReport, "report", false, "write the report of the watch")
	c.Flags().BoolVar(&replay, "replay", false, "judge the watch again, of a run or of a report in a file")
	return c
}

func (s *session) explain(ctx context.Context, cl *client.Client, args []string, asReport, replay bool) error {
	id, err := s.runID(ctx, cl, args)
	if err != nil {
		return err
	}
	j, err := cl.Run(ctx, id)
	if err != nil {
		return err
	}
	if !asReport && !replay {
		events, err := cl.Events(ctx, j.Run.ID)
		if err != nil {
			return err
		}
		return s.print(j, func(w io.Writer) { s.printJournal(w, j, events) })
	}
	ev, ok := report.Find(j.Entries)
	if !ok {
		return ship.Errorf(ship.NotFound, "shiplock explain "+j.Run.ID, "run %s has no verdict to show: it was not watched, or its watch is not over", j.Run.ID)
	}
	if replay {
		return s.replay(j.Run.ID, ev)
	}
	r := report.New(j.Run, j.Entries, ev)
	return s.print(r, func(w io.Writer) { fmt.Fprintln(w, mask.Terminal(r.Markdown())) })
}

// replay judges again and fails when the verdict is another one.
func (s *session) replay(run string, ev analysis.Evidence) error {
	r := report.Again(run, ev)
	if err := s.print(r, func(w io.Writer) { printReplay(w, r) }); err != nil || r.Agrees {
		return err
	}
	return ship.Errorf(ship.Internal, "", "the recorded counters do not give the recorded verdict")
}

func printReplay(w io.Writer, r report.Replay) {
	since := "from the beginning of the watch"
	if !r.Whole {
		since = "from the evidence as it stood before them"
	}
	fmt.Fprintf(w, "%d samples, %s to %s UTC, judged again %s.\n", r.Samples, r.From.UTC().Format(time.TimeOnly), r.To.UTC().Format(time.TimeOnly), since)
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(t, "TEST\tS\tN\tE\tROLLS BACK AT")
	for _, test := range r.Tests {
		fmt.Fprintf(t, "%s\t%d\t%d\t%.4g\t%.0f\n", test.Name, test.Marked, test.Trials, test.E, test.Line)
	}
	_ = t.Flush()
	fmt.Fprintf(w, "now:   %s  %s\n", r.Now.Outcome, mask.Terminal(r.Now.Reason))
	fmt.Fprintf(w, "then:  %s  %s\n", r.Then.Outcome, mask.Terminal(r.Then.Reason))
	if r.Agrees {
		fmt.Fprintln(w, "The verdict is the same.")
	} else {
		fmt.Fprintln(w, "The verdict is NOT the same.")
	}
}

// isFile tells a file from the name of a run.
func isFile(arg string) bool {
	info, err := os.Stat(arg)
	return err == nil && info.Mode().IsRegular() || strings.ContainsRune(arg, '/') || strings.HasSuffix(arg, ".json")
}

// mostEvidence is the size in bytes above which no report is read.
const mostEvidence = 16 << 20

// readEvidence reads a report, or evidence alone, from a file.
func readEvidence(path string) (run string, ev analysis.Evidence, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", ev, ship.Errorf(ship.NotFound, "", "read the report: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, mostEvidence+1))
	if err == nil && len(data) > mostEvidence {
		err = fmt.Errorf("more than %d bytes", mostEvidence)
	}
	var r report.Report
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err == nil && r.Evidence.Schema == 0 {
		err = json.Unmarshal(data, &r.Evidence)
	}
	if err == nil && (r.Evidence.Schema < 1 || r.Evidence.Schema > analysis.EvidenceSchema || len(r.Evidence.Trail.Samples) == 0) {
		err = fmt.Errorf("it is no report of a watch that this version knows")
	}
	if err != nil {
		return "", ev, ship.Errorf(ship.Invalid, "shiplock explain RUN --report -o json", "read %s: %w", path, err)
	}
	return r.Run, r.Evidence, nil
}

// said returns what each step said last: how it ended, or how far it is. stands
// is what was told of a release that serves while its watch goes on.
func said(events []ship.Event) (texts map[string]string, stands *ship.Result) {
	texts = map[string]string{}
	for _, e := range events {
		switch e.Type {
		case ship.EventDone, ship.EventFailed, ship.EventProgress:
			texts[e.Step] = e.Text
		case ship.EventHealthy, ship.EventUnproven:
			var r ship.Result
			if json.Unmarshal(e.Data, &r) == nil {
				stands = &r
			}
		}
	}
	return texts, stands
}

func (s *session) printJournal(w io.Writer, j wire.Journal, events []ship.Event) {
	r := j.Run
	fmt.Fprintf(w, "%s  %s v%d to %s, by %s, %s ago, epoch %d, %s\n", r.ID, r.Request.Word(), r.Request.Release.Number, r.Request.Environment.ID, r.Request.By, ago(r.CreatedAt), r.Epoch, r.Status)
	entries := map[int]ship.Entry{}
	for _, e := range j.Entries {
		entries[e.Seq] = e
	}
	texts, stands := said(events)
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	for i, st := range r.Plan.Steps {
		e, begun := entries[i]
		if !begun {
			fmt.Fprintf(t, "  %s\tnot begun\n", st.Name)
			continue
		}
		took := "–"
		if !e.EndedAt.IsZero() {
			took = fmt.Sprintf("%.1fs", e.EndedAt.Sub(e.StartedAt).Seconds())
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", st.Name, e.State, took, indent(mask.Terminal(cmp.Or(e.Error, texts[st.Name])), 4))
	}
	_ = t.Flush()
	for _, x := range r.Plan.Waiting {
		if len(x.Conditions) > 0 {
			fmt.Fprintf(w, "%s, on which conditions:\n", x.Migration.ID)
			printConditions(w, x)
		}
	}
	for _, e := range events {
		if e.Type == ship.EventNote && r.Request.Options.Contract {
			fmt.Fprintf(w, " ! %s\n", mask.Terminal(e.Text))
		}
	}
	for _, e := range j.Entries {
		var v ship.Verdict
		if json.Unmarshal(e.Evidence, &v) != nil {
			continue
		}
		if v.Rehearsal != nil {
			printRehearsal(w, v)
		}
		if v.Report != nil {
			printReport(w, e.Name, *v.Report)
		}
	}
	switch {
	case r.Status == ship.Running && stands != nil:
		stands.Next = "shiplock watch " + r.ID
		s.summary(w, *stands)
	case r.Result.Reason != "":
		s.summary(w, r.Result)
	}
}
