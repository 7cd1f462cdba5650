package load

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/load"
	"github.com/shiplock/shiplock/internal/ship"
)

// How the time line is drawn.
const (
	mostPoints = 300
	tellEvery  = 2 * time.Second
)

// A line is how a load went over time.
type line struct {
	every               time.Duration
	rate, lost, slowest []float64
}

// send sends the load, tells how it goes and draws its line. It returns when
// nothing of it is under way.
func (g *Gate) send(ctx context.Context, l *load.Load, lasts time.Duration, c gate.Candidate) (load.Snapshot, line) {
	ended := make(chan load.Snapshot, 1)
	go func() { ended <- l.Run(ctx) }()
	out := line{every: time.Second * time.Duration(1+int64(lasts/time.Second)/mostPoints)}
	tick := time.NewTicker(out.every)
	defer tick.Stop()
	tell := time.NewTicker(tellEvery)
	defer tell.Stop()
	var before load.Snapshot
	for {
		select {
		case s := <-ended:
			if s.Sent > before.Sent {
				out.add(s.Since(before))
			}
			return s, out
		case <-tick.C:
			now := l.Snapshot()
			out.add(now.Since(before))
			before = now
		case <-tell.C:
			if c.Progress != nil {
				s := l.Snapshot()
				c.Progress(fmt.Sprintf("%s of %s: %s", s.Elapsed.Round(time.Second), lasts, g.said(s)), g.figures(s)...)
			}
		}
	}
}

func (l *line) add(s load.Snapshot) {
	if len(l.rate) > mostPoints {
		return // the last answers took longer than they should
	}
	l.rate = append(l.rate, round(s.Rate(), 1))
	l.lost = append(l.lost, float64(s.Lost()))
	l.slowest = append(l.slowest, ms(s.P95))
}

func (l *line) series() []ship.Series {
	return []ship.Series{
		{Name: "requests", Unit: "/s", Every: l.every, Values: l.rate},
		{Name: "failed", Every: l.every, Values: l.lost},
		{Name: "p95", Unit: "ms", Every: l.every, Values: l.slowest},
	}
}

func ms(d time.Duration) float64 { return round(float64(d)/float64(time.Millisecond), 2) }

func round(v float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(v*scale) / scale
}

// lost is the share of requests that failed, in percent.
func lost(s load.Snapshot) float64 {
	if s.Sent == 0 {
		return 0
	}
	return 100 * float64(s.Lost()) / float64(s.Sent)
}

// figures are a load's numbers, those with a limit first.
func (g *Gate) figures(s load.Snapshot) []ship.Figure {
	all := []ship.Figure{{Name: "failed requests", Value: round(lost(s), 3), Unit: "%", Limit: &g.errorRate, AtMost: true}}
	for _, p := range g.percentiles(s) {
		f := ship.Figure{Name: p.name, Value: ms(p.is), Unit: "ms"}
		if p.most > 0 {
			limit := ms(p.most)
			f.Limit, f.AtMost = &limit, true
		}
		all = append(all, f)
	}
	return append(all,
		ship.Figure{Name: "slowest", Value: ms(s.Max), Unit: "ms"},
		ship.Figure{Name: "requests", Value: float64(s.Sent)},
		ship.Figure{Name: "rate", Value: round(s.Rate(), 1), Unit: "/s"},
	)
}

// A percentile with its limit; least is the number of requests below which it
// means nothing.
type percentile struct {
	name     string
	is, most time.Duration
	least    int64
}

func (g *Gate) percentiles(s load.Snapshot) []percentile {
	return []percentile{
		{"p50", s.P50, time.Duration(g.cfg.P50), 2},
		{"p95", s.P95, time.Duration(g.cfg.P95), 20},
		{"p99", s.P99, time.Duration(g.cfg.P99), 100},
	}
}

// said is a load in a sentence: what is held to a limit, and how much it was.
func (g *Gate) said(s load.Snapshot) string {
	var parts []string
	for _, p := range g.percentiles(s) {
		if p.most > 0 {
			parts = append(parts, fmt.Sprintf("%s %s %s %s", p.name, short(p.is), sign(p.is > p.most), p.most))
		}
	}
	share := lost(s)
	parts = append(parts, fmt.Sprintf("failed %.2f %% %s %g %%", share, sign(share > g.errorRate), g.errorRate))
	return fmt.Sprintf("%s (%d requests at %.1f/s)", strings.Join(parts, ", "), s.Sent, s.Rate())
}

func sign(above bool) string {
	if above {
		return ">"
	}
	return "≤"
}

func short(d time.Duration) time.Duration {
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

// verdict judges a load. The first limit that does not hold is enough.
func (g *Gate) verdict(s load.Snapshot, l line) ship.Verdict {
	v := ship.Verdict{Outcome: ship.Pass, Reason: g.said(s), Report: &ship.Report{Figures: g.figures(s), Items: failures(s), Series: l.series()}}
	failed := lost(s) > g.errorRate
	few := ""
	for _, p := range g.percentiles(s) {
		if p.most == 0 {
			continue
		}
		failed = failed || p.is > p.most
		if s.Sent < p.least {
			few = fmt.Sprintf("%s of %d requests proves nothing: ", p.name, s.Sent)
		}
	}
	due := s.Sent + s.Skipped
	switch {
	case s.Sent == 0:
		v.Outcome, v.Reason = ship.NoConclusion, "no request was sent: no data is no proof"
	case failed:
		v.Outcome = ship.Fail
		if len(v.Report.Items) > 0 {
			v.Reason += fmt.Sprintf("; %d times %s, for example %s", v.Report.Items[0].Count, v.Report.Items[0].Title, v.Report.Items[0].Where)
		}
	case s.Skipped*100 > due:
		v.Outcome, v.Reason = ship.NoConclusion, fmt.Sprintf("%d of %d requests could not be sent in time by this machine: %s", s.Skipped, due, v.Reason)
	case few != "":
		v.Outcome, v.Reason = ship.NoConclusion, few+v.Reason
	}
	return v
}

// maxText bounds what an error says.
const maxText = 200

// failures are the ways in which requests failed, the most frequent first.
func failures(s load.Snapshot) []ship.Item {
	var out []ship.Item
	for class, f := range s.Failed {
		item := ship.Item{Title: class, Level: "error", Count: f.Count}
		if len(f.First) > 0 {
			item.Where = gate.Line(f.First[0].Method+" "+f.First[0].Path, maxText)
			item.Text = gate.Line(f.First[0].Error, maxText)
		}
		out = append(out, item)
	}
	slices.SortFunc(out, func(a, b ship.Item) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Title, b.Title)) })
	return out
}
