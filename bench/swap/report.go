package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/shiplock/shiplock/bench/measure"
	"github.com/shiplock/shiplock/internal/ship"
)

// A report is everything that was measured.
type report struct {
	measure.Machine
	Rate    int           `json:"rate"`
	Streams int           `json:"streams"` // of each kind
	For     time.Duration `json:"for"`
	Courses []result      `json:"courses"`
}

// A result is what came of one course. Times are milliseconds.
type result struct {
	Name       string   `json:"name"`
	Turns      int      `json:"turns"`
	Requests   int      `json:"requests"`
	Incomplete int      `json:"incomplete"` // no answer, another status than 200, or not the whole body
	Retried    int      `json:"retried"`    // by the client's own transport, since a connection was closed under it
	Orders     int      `json:"orders"`     // POSTs that were answered
	Lost       int      `json:"lost"`       // of those, not with any instance
	Doubled    int      `json:"doubled"`    // orders that came to an instance more than once
	Streams    int      `json:"streams"`    // opened
	Messages   int      `json:"messages"`
	Farewells  int      `json:"farewells"`   // streams that were ended between two messages
	StreamsCut int      `json:"streams_cut"` // in any other way
	Failures   []string `json:"failures,omitempty"`

	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`

	// What the receipts of the swaps say.
	Protocols     map[ship.Protocol]ship.Ending `json:"protocols,omitempty"`
	LostByReceipt int64                         `json:"lost_by_receipt"`
	Drains        measure.Sample                `json:"drains,omitempty"`
}

// verdict says what must not be.
func (r report) verdict() error {
	var problems []error
	for _, c := range r.Courses {
		for name, n := range map[string]int{
			"incomplete answers": c.Incomplete, "requests that the client had to send again": c.Retried, "lost POSTs": c.Lost,
			"doubled POSTs": c.Doubled, "streams cut": c.StreamsCut, "requests lost by the receipts": int(c.LostByReceipt),
		} {
			if n != 0 {
				problems = append(problems, fmt.Errorf("%s: %d %s", c.Name, n, name))
			}
		}
		if len(problems) > 0 {
			problems = append(problems, errors.New(strings.Join(c.Failures, "\n")))
		}
		for p, e := range c.Protocols {
			if e.Cut != 0 {
				problems = append(problems, fmt.Errorf("%s: the receipts say that %s of %s were cut", c.Name, p.Name(e.Cut), p.Name(e.Total())))
			}
		}
		if c.Requests == 0 || c.Orders == 0 || r.Streams > 0 && c.Messages == 0 {
			problems = append(problems, fmt.Errorf("%s: there was no load, this shows nothing", c.Name))
		}
		if len(c.Drains) > 0 && (c.Protocols[ship.HTTP].Total() == 0 || r.Streams > 0 && c.Farewells == 0) {
			problems = append(problems, fmt.Errorf("%s: nothing was under way at a swap, this shows nothing", c.Name))
		}
	}
	return errors.Join(problems...)
}

// Markdown writes the tables.
func (r report) Markdown(w io.Writer) error {
	fmt.Fprintf(w, "%d requests a second and %d streams of each kind for %s; times in ms, from the moment a request was due\n\n", r.Rate, r.Streams, r.For)
	names, line := "| |", "| --- |"
	for _, c := range r.Courses {
		names += fmt.Sprintf(" %d %s |", c.Turns, c.Name)
		line += " ---: |"
	}
	fmt.Fprintf(w, "%s\n%s\n", names, line)
	row := func(name, format string, value func(result) any) {
		text := "| " + name + " |"
		for _, c := range r.Courses {
			text += fmt.Sprintf(" "+format+" |", value(c))
		}
		fmt.Fprintln(w, text)
	}
	row("requests", "%d", func(c result) any { return c.Requests })
	row("incomplete answers", "%d", func(c result) any { return c.Incomplete })
	row("requests the client had to send again", "%d", func(c result) any { return c.Retried })
	row("POSTs answered", "%d", func(c result) any { return c.Orders })
	row("of those lost", "%d", func(c result) any { return c.Lost })
	row("POSTs that came twice", "%d", func(c result) any { return c.Doubled })
	row("WebSockets and event streams opened", "%d", func(c result) any { return c.Streams })
	row("ended between two messages, with a farewell", "%d", func(c result) any { return c.Farewells })
	row("ended in any other way", "%d", func(c result) any { return c.StreamsCut })
	row("latency, median", "%.1f", func(c result) any { return c.P50 })
	row("latency, 95th percentile", "%.1f", func(c result) any { return c.P95 })
	row("latency, 99th percentile", "%.1f", func(c result) any { return c.P99 })
	row("latency, greatest", "%.0f", func(c result) any { return c.Max })
	for _, c := range r.Courses {
		if len(c.Drains) > 0 {
			c.receipts(w)
		}
	}
	return nil
}

// receipts writes what the receipts say.
func (c result) receipts(w io.Writer) {
	fmt.Fprintf(w, "\n| under way at %d swaps | ended by themselves | closed between two messages | cut |\n| --- | ---: | ---: | ---: |\n", len(c.Drains))
	for _, p := range ship.AllProtocols() {
		if e := c.Protocols[p]; e.Total() > 0 {
			fmt.Fprintf(w, "| %s | %d | %d | %d |\n", p.Name(e.Total()), e.Drained, e.Closed, e.Cut)
		}
	}
	fmt.Fprintln(w)
	measure.Head(w, "from a swap until all of them had ended")
	measure.Row(w, "ms", c.Drains, "%.0f")
}
