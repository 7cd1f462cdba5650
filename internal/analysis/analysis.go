// Package analysis makes a verdict of counters. It is pure: it reads no clock,
// asks nobody and remembers only what it was shown. It knows nothing of slots,
// proxies or how traffic is given back.
package analysis

import (
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Watch judges a release that has just begun to serve. Observe is called
// again and again with what is known so far; once it has returned anything but
// [ship.Wait] the watch is over and the verdict stays what it was.
type Watch interface {
	Observe(s Sample) ship.Verdict
}

// A Sample is all that is known of the new release since the watch began. The
// counts grow from sample to sample.
type Sample struct {
	At       time.Time
	Requests int64         // answered by the new release
	Errors   int64         // of those, 5xx and failures to answer
	P95      time.Duration // of the latencies of those
	Probes   Probes
	Exits    []string // how instances of the new release ended, a clause each: "web.1: exit code 1"
}

// Probes count the health checks that were made while watching.
type Probes struct {
	Sent    int64
	Healthy int64
	Failing int    // in a row, up to now
	Last    string // why the last one failed
}
