package main

import (
	"fmt"
	"slices"
)

// A sample is what one thing measured, a number for each round.
type sample []float64

// median returns the middle of the sample, which must not be empty.
func (s sample) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// spread returns the least and the greatest as text.
func (s sample) spread(format string) string {
	return fmt.Sprintf(format+" – "+format, slices.Min(s), slices.Max(s))
}
