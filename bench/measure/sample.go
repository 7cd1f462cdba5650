package measure

import (
	"fmt"
	"io"
	"slices"
)

// A Sample is what one thing measured, a number for each round. It must not be
// empty to be asked.
type Sample []float64

// at returns the value below which a share of the sample lies.
func (s Sample) at(share float64) float64 {
	sorted := slices.Sorted(slices.Values(s))
	place := share * float64(len(sorted)-1)
	low := int(place)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (place-float64(low))*(sorted[high]-sorted[low])
}

// Median returns the value in the middle.
func (s Sample) Median() float64 { return s.at(0.5) }

// Middle returns the bounds of the middle half as text.
func (s Sample) Middle(format string) string {
	return fmt.Sprintf(format+" – "+format, s.at(0.25), s.at(0.75))
}

// Spread returns the least and the greatest as text.
func (s Sample) Spread(format string) string {
	return fmt.Sprintf(format+" – "+format, slices.Min(s), slices.Max(s))
}

// Head writes the head of a table of samples.
func Head(w io.Writer, what string) {
	fmt.Fprintf(w, "| %s | median | middle half | least – greatest |\n| --- | ---: | ---: | ---: |\n", what)
}

// Row writes a line of such a table.
func Row(w io.Writer, name string, s Sample, format string) {
	fmt.Fprintf(w, "| %s | "+format+" | %s | %s |\n", name, s.Median(), s.Middle(format), s.Spread(format))
}
