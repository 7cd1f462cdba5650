// Package report tells people how a verdict came about: the sentence, the
// tests, the timeline, requests that failed, and what was and was not undone.
// It knows runs and evidence and does no input or output.
package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/ship"
)

// A Report is a verdict with everything it rests on. As JSON it can be replayed.
type Report struct {
	Schema      int                `json:"schema"`
	Run         string             `json:"run"`
	Environment ship.EnvironmentID `json:"environment"`
	Release     string             `json:"release"`            // "v42"
	Previous    string             `json:"previous,omitempty"` // "v41"
	Title       string             `json:"title"`
	Sentence    string             `json:"sentence"`
	Next        string             `json:"next,omitempty"` // the next command to type
	Outcome     ship.Outcome       `json:"outcome"`
	Badge       string             `json:"badge,omitempty"` // "not proven"
	Tests       []analysis.Test    `json:"tests"`
	Latency     *Latency           `json:"latency,omitempty"`
	Timeline    []analysis.Moment  `json:"timeline"`
	Failures    []analysis.Failure `json:"failures,omitempty"`
	Where       string             `json:"where,omitempty"` // most of the failures: "9 of 11 on /checkout"
	Undone      []string           `json:"undone"`
	Kept        []string           `json:"kept"`
	Evidence    analysis.Evidence  `json:"evidence"`
}

// Latency is where the quantiles of the new release lie.
type Latency struct {
	P50 analysis.Span `json:"p50"`
	P95 analysis.Span `json:"p95"`
	P99 analysis.Span `json:"p99"`
}

// level of the intervals that are shown.
const level = 0.95

// New writes the report of a run that was watched.
func New(run ship.Run, entries []ship.Entry, ev analysis.Evidence) Report {
	j := ev.Judgement
	r := Report{
		Schema: 1, Run: run.ID, Environment: run.Request.Environment.ID,
		Release: ev.Config.New, Previous: ev.Config.Old,
		Sentence: j.Reason, Next: run.Result.Next, Outcome: j.Outcome,
		Tests: ev.Tests, Failures: ev.Failures, Where: where(ev.Failures), Evidence: ev,
		Timeline: timeline(ev), Undone: []string{}, Kept: []string{},
	}
	r.Release = cmp.Or(r.Release, fmt.Sprintf("v%d", run.Request.Release.Number))
	r.Title, r.Badge = title(j)
	if h := ev.Last.New.Latency; len(h) > 0 {
		r.Latency = &Latency{
			P50: analysis.QuantileInterval(h, 0.50, level),
			P95: analysis.QuantileInterval(h, 0.95, level),
			P99: analysis.QuantileInterval(h, 0.99, level),
		}
	}
	r.told(run, entries)
	return r
}

func title(j analysis.Judgement) (title, badge string) {
	switch {
	case !j.Ended() && j.Healthy:
		return "watched, healthy so far", ""
	case !j.Ended():
		return "watched", "not proven"
	case j.Action == analysis.RollBack:
		return "rolled back", ""
	case j.Action == analysis.Hold:
		return "held, waiting for a person", "not proven"
	case j.Outcome == ship.Pass:
		return "healthy, proven", ""
	}
	return "promoted", "not proven"
}

// timeline is what happened, in order, from the swap on.
func timeline(ev analysis.Evidence) []analysis.Moment {
	began := "the watch began"
	if ev.Config.Old != "" {
		began += ": " + ev.Config.Old + " guards " + ev.Config.New
	}
	line := append([]analysis.Moment{{At: ev.Config.Began, Text: began}}, ev.Moments...)
	if len(ev.Failures) > 0 {
		f := slices.MinFunc(ev.Failures, func(a, b analysis.Failure) int { return a.At.Compare(b.At) })
		line = append(line, analysis.Moment{At: f.At, Text: fmt.Sprintf("the first request failed: %s %s, %s", f.Method, f.Path, ended(f))})
	}
	if ev.After != "" {
		line = append(line, analysis.Moment{At: ev.Judgement.At, Text: "afterwards: " + ev.After})
	}
	slices.SortStableFunc(line, func(a, b analysis.Moment) int { return a.At.Compare(b.At) })
	return line
}

func ended(f analysis.Failure) string {
	if f.Status != 0 {
		return fmt.Sprintf("status %d", f.Status)
	}
	return cmp.Or(f.Why, "no answer")
}

// where says on which path most of the failures were.
func where(failures []analysis.Failure) string {
	counts := map[string]int{}
	top := ""
	for _, f := range failures {
		counts[f.Path]++
		if counts[f.Path] > counts[top] || counts[f.Path] == counts[top] && f.Path < top {
			top = f.Path
		}
	}
	if len(failures) < 2 || 2*counts[top] < len(failures) {
		return ""
	}
	return fmt.Sprintf("%d of %d on %s", counts[top], len(failures), top)
}

// told says what was taken back and what stays as it is.
func (r *Report) told(run ship.Run, entries []ship.Entry) {
	back := r.Evidence.Judgement.Action == analysis.RollBack
	if back {
		r.Undone = append(r.Undone, "traffic: "+cmp.Or(r.Previous, "the previous release")+" gets every request again")
	}
	for _, e := range entries {
		if e.State == ship.StepUndone {
			r.Undone = append(r.Undone, "step "+e.Name)
		}
	}
	var names []string
	for _, m := range run.Plan.Migrations {
		names = append(names, m.ID+" ("+string(m.Phase)+")")
	}
	switch run.Result.Schema {
	case ship.SchemaAhead:
		r.Kept = append(r.Kept, "migrations, which the previous release can live with: "+strings.Join(names, ", "))
	case ship.SchemaReverted:
		r.Undone = append(r.Undone, "migrations: "+strings.Join(names, ", "))
	case ship.SchemaChanged:
		r.Kept = append(r.Kept, "migrations, which belong to the release that serves: "+strings.Join(names, ", "))
	case ship.SchemaUnknown:
		r.Kept = append(r.Kept, "the schema is unknown, a person has to look: "+strings.Join(names, ", "))
	case ship.SchemaUnchanged:
	}
	if back {
		r.Kept = append(r.Kept, "the instances of "+r.Release+" and their logs, for study")
	}
}

// Find returns what a run was judged by, from its journal: the newest evidence
// of a step that has it under the key "judged".
func Find(entries []ship.Entry) (analysis.Evidence, bool) {
	for _, e := range slices.Backward(entries) {
		var step struct {
			Judged *analysis.Evidence `json:"judged"`
		}
		if json.Unmarshal(e.Evidence, &step) == nil && step.Judged != nil && step.Judged.Schema > 0 {
			return *step.Judged, true
		}
	}
	return analysis.Evidence{}, false
}

// A Replay is a judgement made again from its recorded counters.
type Replay struct {
	Run     string             `json:"run,omitempty"`
	Samples int                `json:"samples"`
	From    time.Time          `json:"from"`
	To      time.Time          `json:"to"`
	Whole   bool               `json:"whole"` // from the beginning of the watch on
	Agrees  bool               `json:"agrees"`
	Then    analysis.Judgement `json:"then"`
	Now     analysis.Judgement `json:"now"`
	Tests   []analysis.Test    `json:"tests"` // as they came out again
}

// Again replays the evidence.
func Again(run string, ev analysis.Evidence) Replay {
	again := analysis.Replay(ev)
	r := Replay{
		Run: run, Samples: len(ev.Trail.Samples), Whole: ev.Trail.Start == nil,
		Agrees: again.Agrees(ev), Then: ev.Judgement, Now: again.Judgement, Tests: again.Tests,
	}
	if r.Samples > 0 {
		r.From, r.To = ev.Trail.Samples[0].At, ev.Trail.Samples[r.Samples-1].At
	}
	return r
}
