package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A report is everything that was measured. Times are milliseconds, with one
// number for each round.
type report struct {
	CPUs   int          `json:"cpus"`
	System string       `json:"system"`
	Go     string       `json:"go"`
	Rounds int          `json:"rounds"`
	Trees  []treeReport `json:"trees"`
}

type treeReport struct {
	Name     string `json:"name"`
	Files    int    `json:"files"`
	Bytes    int64  `json:"bytes"`
	Parts    []part `json:"parts"`    // of a deployment, in order
	Overhead sample `json:"overhead"` // what of it is ours
	Tools    []part `json:"tools"`
	Ratios   []part `json:"ratios"` // of the overhead, to sums of tools
}

// A part is one line of a table.
type part struct {
	Name   string `json:"name"`
	Theirs bool   `json:"theirs,omitempty"` // the application's own time
	Sample sample `json:"sample"`
}

func newReport(rounds int, projects []*project) report {
	r := report{CPUs: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Rounds: rounds}
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

// markdown writes a table for each tree.
func (r report) markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d rounds on %d cores, %s, %s.\n", r.Rounds, r.CPUs, r.System, r.Go)
	for _, t := range r.Trees {
		fmt.Fprintf(&b, "\n### The %s tree: %d files, %.1f MiB\n\n", t.Name, t.Files, float64(t.Bytes)/(1<<20))
		fmt.Fprint(&b, "| a deployment | median, ms | middle half | least – greatest |\n| --- | ---: | ---: | ---: |\n")
		for _, p := range t.Parts {
			name := p.Name
			if p.Theirs {
				name += " (the application's own)"
			}
			row(&b, name, p.Sample, "%.1f")
		}
		row(&b, "**all but the application's own**", t.Overhead, "%.1f")
		fmt.Fprint(&b, "\n| the same tree, by | median, ms | middle half | least – greatest |\n| --- | ---: | ---: | ---: |\n")
		for _, p := range t.Tools {
			row(&b, "`"+p.Name+"`", p.Sample, "%.1f")
		}
		fmt.Fprint(&b, "\n| a deployment takes so many times as long as | median | middle half | least – greatest |\n| --- | ---: | ---: | ---: |\n")
		for _, p := range t.Ratios {
			row(&b, "`"+p.Name+"`", p.Sample, "%.2f")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func row(b *strings.Builder, name string, s sample, format string) {
	fmt.Fprintf(b, "| %s | "+format+" | %s | %s |\n", name, s.median(), s.middle(format), s.spread(format))
}
