package main

import (
	"fmt"
	"slices"
)

// A sample is what one thing measured, a number for each round. It must not be
// empty to be asked.
type sample []float64

// at returns the value below which a share of the sample lies.
func (s sample) at(share float64) float64 {
	sorted := slices.Sorted(slices.Values(s))
	place := share * float64(len(sorted)-1)
	low := int(place)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (place-float64(low))*(sorted[high]-sorted[low])
}

func (s sample) median() float64 { return s.at(0.5) }

// middle returns the bounds of the middle half as text.
func (s sample) middle(format string) string {
	return fmt.Sprintf(format+" – "+format, s.at(0.25), s.at(0.75))
}

// spread returns the least and the greatest as text.
func (s sample) spread(format string) string {
	return fmt.Sprintf(format+" – "+format, slices.Min(s), slices.Max(s))
}
