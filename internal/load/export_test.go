package load

import "time"

// CountedAs returns the highest latency that is counted together with d.
func CountedAs(d time.Duration) time.Duration {
	h := newHistogram()
	h.add(d)
	return h.at(1)
}
