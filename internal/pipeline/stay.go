package pipeline

import (
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Stay is a time in which a release served an environment without a break.
// It begins when its run has passed, watch included.
type Stay struct {
	From      time.Time
	To        time.Time // zero while it serves
	TakenBack bool      // it ended by a rollback
	By        string    // run that ended it
	Instead   int       // release that served after it
}

// Served returns the last stay of a release in a history, whose newest entry is
// first.
func Served(history []ship.Deployed, release int) (Stay, bool) {
	for i, d := range history {
		if d.Release != release {
			continue
		}
		stay := Stay{From: d.At}
		for _, before := range history[i+1:] {
			if before.Release != release {
				break
			}
			stay.From = before.At
		}
		if i > 0 {
			next := history[i-1]
			stay.To, stay.TakenBack, stay.By, stay.Instead = next.At, next.Verb == ship.VerbRollback, next.Run, next.Release
		}
		return stay, true
	}
	return Stay{}, false
}

// Long is how long the stay has lasted.
func (s Stay) Long(now time.Time) time.Duration {
	if !s.To.IsZero() {
		now = s.To
	}
	return max(0, now.Sub(s.From))
}
