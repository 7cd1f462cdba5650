package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/shiplock/shiplock/bench/measure"
)

// A report is everything that was measured: ratios of the gate to another
// program, formed within a round.
type report struct {
	measure.Machine
	Rounds  int     `json:"rounds"`
	Seconds int     `json:"seconds"`
	Offered int     `json:"offered_per_second"`
	Many    int     `json:"users"`
	Rate    against `json:"rate"`
	Users   against `json:"no_pause"`
}

// against is the gate beside one program.
type against struct {
	Name   string         `json:"name"`
	P50    measure.Sample `json:"p50_ratio"`
	P95    measure.Sample `json:"p95_ratio,omitempty"`
	P99    measure.Sample `json:"p99_ratio"`
	PerSec measure.Sample `json:"rate_ratio"`
	Ours   []percentiles  `json:"ours"`
	Theirs []percentiles  `json:"theirs"`
}

func newReport(o options) *report {
	return &report{
		Machine: measure.ThisMachine(), Rounds: o.rounds, Seconds: int(o.length.Seconds()), Offered: o.rate, Many: o.users,
		Rate: against{Name: "hey"}, Users: against{Name: "wrk"},
	}
}

func (a *against) add(ours, theirs percentiles) {
	a.Ours, a.Theirs = append(a.Ours, ours), append(a.Theirs, theirs)
	a.P50 = append(a.P50, ours.P50/theirs.P50)
	a.P99 = append(a.P99, ours.P99/theirs.P99)
	a.PerSec = append(a.PerSec, ours.Rate/theirs.Rate)
	if theirs.P95 > 0 {
		a.P95 = append(a.P95, ours.P95/theirs.P95)
	}
}

// Markdown writes a table of ratios for each program.
func (r *report) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d rounds of %d seconds each.\n", r.Rounds, r.Seconds)
	for _, t := range []struct {
		what string
		a    against
	}{
		{fmt.Sprintf("load gate to hey, both at %d requests a second", r.Offered), r.Rate},
		{fmt.Sprintf("load gate to wrk, both with %d users who do not pause", r.Many), r.Users},
	} {
		b.WriteString("\n")
		measure.Head(&b, t.what)
		measure.Row(&b, "median latency", t.a.P50, "%.2f")
		if len(t.a.P95) > 0 {
			measure.Row(&b, "95th percentile", t.a.P95, "%.2f")
		}
		measure.Row(&b, "99th percentile", t.a.P99, "%.2f")
		measure.Row(&b, "requests a second", t.a.PerSec, "%.2f")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
