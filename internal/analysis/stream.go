package analysis

import "math"

// maxCopies bounds the restarted copies of a test that are kept. Those whose
// evidence is least are let go: to count less evidence than there is only makes
// a test more careful.
const maxCopies = 32

// A stream is one test while it runs: marked events among trials, and copies of
// the test that were begun later. Without them a long good history would hide a
// regression that comes late.
type stream struct {
	Marked int64   `json:"marked"`
	Trials int64   `json:"trials"`
	Sum    vector  `json:"sum"`
	Epochs int64   `json:"epochs"` // boundaries so far
	Copies []later `json:"copies,omitempty"`
}

// later is a copy of a test: it knows only what came after its start.
type later struct {
	Weight float64 `json:"weight"`
	Marked int64   `json:"marked"` // events before it began
	Start  vector  `json:"start"`
}

func (s *stream) add(marked, n int64, p0 float64) {
	if n == 0 && marked == 0 {
		return
	}
	s.Marked += marked
	s.Trials += n
	s.Sum.add(marked, n, p0)
}

// boundary begins the next copy. Copy j weighs 1/(j(j+1)), which sums to one
// over all that can ever begin.
func (s *stream) boundary() {
	s.Epochs++
	j := float64(s.Epochs)
	weight := 1 / (j * (j + 1))
	if n := len(s.Copies); n > 0 && s.Copies[n-1].Start == s.Sum {
		s.Copies[n-1].Weight += weight // nothing was seen since: the same copy
		return
	}
	s.Copies = append(s.Copies, later{Weight: weight, Marked: s.Marked, Start: s.Sum})
	if len(s.Copies) > maxCopies {
		s.forget()
	}
}

// forget lets the copy go that has least to say.
func (s *stream) forget() {
	least, at := math.Inf(1), 0
	for i, c := range s.Copies[:len(s.Copies)-1] {
		if l := math.Log(c.Weight) + s.Sum.since(&c.Start); l < least {
			least, at = l, i
		}
	}
	s.Copies = append(s.Copies[:at], s.Copies[at+1:]...)
}

// log returns the logarithm of the evidence: one half on the whole history, one
// half on the copies, where those that have not begun stand at 1. What has seen
// fewer than least events has nothing to say: a copy that begins just before a
// client fails thrice would take that for a rate of 100 %.
func (s *stream) log(least int64) float64 {
	terms := make([]float64, 0, len(s.Copies)+2)
	terms = append(terms, -math.Log(float64(s.Epochs+1)))
	if s.Marked >= least {
		terms = append(terms, s.Sum.log())
	}
	for i := range s.Copies {
		if s.Marked-s.Copies[i].Marked >= least {
			terms = append(terms, math.Log(s.Copies[i].Weight)+s.Sum.since(&s.Copies[i].Start))
		}
	}
	return logSum(terms) - math.Ln2
}
