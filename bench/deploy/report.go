package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/bench/measure"
)

// A report is everything that was measured. Times are milliseconds, with one
// number for each round.
type report struct {
	measure.Machine
	Rounds int          `json:"rounds"`
	Trees  []treeReport `json:"trees"`
}

type treeReport struct {
	Name     string         `json:"name"`
	Files    int            `json:"files"`
	Bytes    int64          `json:"bytes"`
	Parts    []part         `json:"parts"`    // of a deployment, in order
	Overhead measure.Sample `json:"overhead"` // what of it is ours
	Tools    []part         `json:"tools"`
	Ratios   []part         `json:"ratios"` // of the overhead, to sums of tools
}

// A part is one line of a table.
type part struct {
	Name   string         `json:"name"`
	Theirs bool           `json:"theirs,omitempty"` // the application's own time
	Sample measure.Sample `json:"sample"`
}

func newReport(rounds int, projects []*project) report {
	r := report{Machine: measure.ThisMachine(), Rounds: rounds}
	for _, p := range projects {
		r.Trees = append(r.Trees, treeReport{Name: p.name, Files: p.count, Bytes: p.bytes})
	}
	return r
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// add enters one round. Ratios are of what was measured in the same round.
func (t *treeReport) add(deployed, tools []lap) {
	var ours float64
	for _, l := range deployed {
		enter(&t.Parts, l.name, ms(l.took), theirs(l.name))
		if !theirs(l.name) {
			ours += ms(l.took)
		}
	}
	t.Overhead = append(t.Overhead, ours)
	took := map[string]float64{}
	for _, l := range tools {
		enter(&t.Tools, l.name, ms(l.took), false)
		took[l.name] = ms(l.took)
	}
	for _, sum := range sums() {
		var all float64
		for _, name := range sum {
			all += took[name]
		}
		enter(&t.Ratios, strings.Join(sum, " + "), ours/all, false)
	}
}

func enter(parts *[]part, name string, value float64, theirs bool) {
	i := slices.IndexFunc(*parts, func(p part) bool { return p.Name == name })
	if i < 0 {
		i = len(*parts)
		*parts = append(*parts, part{Name: name, Theirs: theirs})
	}
	(*parts)[i].Sample = append((*parts)[i].Sample, value)
}

// Markdown writes a table for each tree.
func (r report) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d rounds.\n", r.Rounds)
	for _, t := range r.Trees {
		fmt.Fprintf(&b, "\n### The %s tree: %d files, %.1f MiB\n\n", t.Name, t.Files, float64(t.Bytes)/(1<<20))
		measure.Head(&b, "a deployment, ms")
		for _, p := range t.Parts {
			name := p.Name
			if p.Theirs {
				name += " (the application's own)"
			}
			measure.Row(&b, name, p.Sample, "%.1f")
		}
		measure.Row(&b, "**all but the application's own**", t.Overhead, "%.1f")
		b.WriteString("\n")
		measure.Head(&b, "the same tree, ms")
		for _, p := range t.Tools {
			measure.Row(&b, "`"+p.Name+"`", p.Sample, "%.1f")
		}
		b.WriteString("\n")
		measure.Head(&b, "a deployment takes so many times as long as")
		for _, p := range t.Ratios {
			measure.Row(&b, "`"+p.Name+"`", p.Sample, "%.2f")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
