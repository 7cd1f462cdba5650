package cli

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/ship"
)

// mostItems bounds what of a report is shown; -o json has all of it.
const mostItems = 10

// printReport shows what a gate found: its figures against their limits, what
// it says of single things, how it went over time, and where more is kept.
func printReport(w io.Writer, name string, r ship.Report) {
	fmt.Fprintf(w, "%s found:\n", mask.Terminal(name))
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	for _, f := range r.Figures {
		limit := ""
		if f.Limit != nil {
			sign := "at least"
			if f.AtMost {
				sign = "at most"
			}
			limit = fmt.Sprintf("%s %s", sign, quantity(*f.Limit, f.Unit))
		}
		mark := " "
		if f.Broken() {
			mark = "✗"
		}
		fmt.Fprintf(t, "  %s %s\t%s\t%s\n", mark, mask.Terminal(f.Name), quantity(f.Value, f.Unit), limit)
	}
	_ = t.Flush()
	for _, s := range r.Series {
		if len(s.Values) > 1 {
			fmt.Fprintf(w, "    %-10s %s  %s to %s\n", mask.Terminal(s.Name), sparks(s.Values), quantity(slices.Min(s.Values), s.Unit), quantity(slices.Max(s.Values), s.Unit))
		}
	}
	for _, i := range r.Items[:min(len(r.Items), mostItems)] {
		fmt.Fprintf(w, "    %s\n", mask.Terminal(item(i)))
	}
	if more := len(r.Items) - mostItems + r.More; len(r.Items) > mostItems || r.More > 0 {
		fmt.Fprintf(w, "    and %d more\n", max(more, r.More))
	}
	for _, f := range r.Files {
		fmt.Fprintf(w, "    kept: %s\n", mask.Terminal(f))
	}
}

// item is one thing as a line: what, where, and what is said of it.
func item(i ship.Item) string {
	var words []string
	if i.Level != "" {
		words = append(words, i.Level)
	}
	if i.New {
		words = append(words, "new")
	}
	words = append(words, i.Title)
	if i.Count > 1 {
		words = append(words, fmt.Sprintf("%d times", i.Count))
	}
	if i.Where != "" {
		words = append(words, i.Where)
	}
	text := strings.Join(words, "  ")
	if i.Text != "" {
		text += ": " + i.Text
	}
	return text
}

func quantity(v float64, unit string) string {
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if unit == "" || strings.HasPrefix(unit, "/") {
		return text + unit
	}
	return text + " " + unit
}

// mostSparks is the width of a line of them.
const mostSparks = 40

// sparks draws values as a line of bars, the highest of each part of them.
func sparks(values []float64) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	top := slices.Max(values)
	n := min(len(values), mostSparks)
	var b strings.Builder
	for i := range n {
		v := slices.Max(values[i*len(values)/n : (i+1)*len(values)/n])
		at := 0
		if top > 0 && v > 0 {
			at = min(int(v/top*float64(len(bars))), len(bars)-1)
		}
		b.WriteRune(bars[at])
	}
	return b.String()
}
