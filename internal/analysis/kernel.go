package analysis

import "math"

// The grids of odds multipliers. A test for "worse than p0" bets on odds that
// are so many times those of p0, a test for "better" on a fraction of them.
// Nobody knows beforehand how bad a release will be: the average over the grid
// is nearly as good as having known.
var (
	worse  = [...]float64{1.5, 2, 3, 5, 10, 30, 100, 1000, 10000}
	better = [...]float64{0.8, 0.6, 0.4, 0.2, 0.1, 0.03, 0.001}
)

// mostE is the largest value of evidence that is told. More would mean nothing
// to anybody, and infinity cannot be written as JSON.
const mostE = 1e15

// Worse returns the evidence that marked events among n trials are more
// frequent than p0: an e-value. Under "at most p0 at every trial, whatever came
// before" it is a non-negative supermartingale that begins at 1, so that it
// ever reaches 1/α with a chance of at most α, however often one looks.
func Worse(marked, n int64, p0 float64) float64 {
	var v vector
	v.add(marked, n, p0)
	return evidence(v.log())
}

// Better is Worse for "less frequent than p0".
func Better(marked, n int64, p0 float64) float64 {
	return evidence(logBetter(float64(marked), float64(n), p0))
}

func evidence(log float64) float64 { return min(math.Exp(log), mostE) }

// A vector is the logarithm of the likelihood ratio for each multiplier of
// worse. Ratios of independent parts multiply, so that parts with different p0
// are simply added up.
type vector [len(worse)]float64

// add takes n more trials with so many marked ones, under p0.
func (v *vector) add(marked, n int64, p0 float64) {
	for i, r := range worse {
		v[i] += float64(marked)*math.Log(r) - float64(n)*math.Log1p((r-1)*p0)
	}
}

// log returns the logarithm of the mixture.
func (v *vector) log() float64 { return v.since(&vector{}) }

// since returns the logarithm of the mixture of what came after start.
func (v *vector) since(start *vector) float64 {
	var terms [len(worse)]float64
	for i := range v {
		terms[i] = v[i] - start[i]
	}
	return logSum(terms[:]) - math.Log(float64(len(worse)))
}

func logWorse(marked, n, p0 float64) float64 {
	var terms [len(worse)]float64
	for i, r := range worse {
		terms[i] = marked*math.Log(r) - n*math.Log1p((r-1)*p0)
	}
	return logSum(terms[:]) - math.Log(float64(len(worse)))
}

func logBetter(marked, n, p0 float64) float64 {
	var terms [len(better)]float64
	for i, r := range better {
		terms[i] = marked*math.Log(r) - n*math.Log1p((r-1)*p0)
	}
	return logSum(terms[:]) - math.Log(float64(len(better)))
}

// logSum returns the logarithm of the sum of what the terms are logarithms of.
func logSum(terms []float64) float64 {
	top := math.Inf(-1)
	for _, t := range terms {
		top = max(top, t)
	}
	if math.IsInf(top, -1) {
		return top
	}
	sum := 0.0
	for _, t := range terms {
		sum += math.Exp(t - top)
	}
	return top + math.Log(sum)
}
