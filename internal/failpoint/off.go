//go:build !failpoints

// Package failpoint has things go wrong where a test wants them to. In the
// program that people use it does nothing and costs nothing: what it can do is
// only built with the tag "failpoints". It knows no step and no file; whoever
// calls it names the place.
package failpoint

import "time"

// Hit is called where something may go wrong. An error is what the system
// call at that place would have said.
func Hit(string) error { return nil }

// Now is the time by a clock that may jump: the one to ask for times that are
// written down and compared after a restart.
func Now() time.Time { return time.Now() }
