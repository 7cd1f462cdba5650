package health

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// Settings say when targets are healthy.
type Settings struct {
	HealthyAfter int           // good answers in a row, of every target; 0 is 1
	Every        time.Duration // between two probes of a target; 0 is 1 s
	GiveUp       time.Duration // of the whole wait; 0 is 1 min
	// Exited, unless nil, is asked between probes. A sentence such as
	// "blue.web.1 ended with exit code 1" ends the wait at once.
	Exited func() string
}

// quietStart is how long it is nobody's concern that an instance does not
// answer yet.
const quietStart = time.Second

// Wait returns nil when every target gave enough good answers in a row. It
// fails with kind Failed when that takes too long or an instance is gone, with
// the explanation of the first target that is not well. Progress, unless nil,
// gets a sentence whenever there is something new to say.
func Wait(ctx context.Context, targets []Target, s Settings, progress func(string)) error {
	s = s.withDefaults()
	w := &wait{Settings: s, targets: targets, good: make([]int, len(targets)), progress: progress, begun: time.Now()}
	deadline, cancel := context.WithTimeout(ctx, s.GiveUp)
	defer cancel()
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	for {
		if said := s.exited(); said != "" {
			return ship.Errorf(ship.Failed, "shiplock logs", "%s before it was healthy", said)
		}
		if w.round(deadline) {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return ship.Errorf(ship.Failed, "shiplock logs", "not healthy after %s and %d probes: %s",
				time.Since(w.begun).Round(100*time.Millisecond), w.probes, w.last)
		}
	}
}

func (s Settings) withDefaults() Settings {
	s.HealthyAfter = max(s.HealthyAfter, 1)
	if s.Every <= 0 {
		s.Every = time.Second
	}
	if s.GiveUp <= 0 {
		s.GiveUp = time.Minute
	}
	return s
}

func (s Settings) exited() string {
	if s.Exited == nil {
		return ""
	}
	return s.Exited()
}

// A wait is the state of Wait.
type wait struct {
	Settings
	targets  []Target
	good     []int // answers in a row
	probes   int
	last     string // explanation of the first target that is not well
	told     string // what was said last
	progress func(string)
	begun    time.Time
}

// round probes every target once and tells whether all are healthy.
func (w *wait) round(ctx context.Context) bool {
	results := make([]Result, len(w.targets))
	var wg sync.WaitGroup
	for i, t := range w.targets {
		wg.Go(func() { results[i] = Probe(ctx, t) })
	}
	wg.Wait()
	if ctx.Err() != nil && w.last != "" {
		return false // cut short: what was said before explains more
	}
	w.probes++
	least, why := w.HealthyAfter, ""
	for i, r := range results {
		if r.OK {
			w.good[i]++
		} else {
			w.good[i] = 0
			if why == "" {
				why = r.Explain
			}
		}
		least = min(least, w.good[i])
	}
	w.say(why, least)
	return least >= w.HealthyAfter
}

func (w *wait) say(why string, least int) {
	text := why
	if why == "" {
		text = fmt.Sprintf("%d of %d good answers in a row", least, w.HealthyAfter)
	}
	// Nobody answers at once: what is only to be expected is not said yet.
	early := why != "" && time.Since(w.begun) < quietStart
	if text != w.told && w.progress != nil && !early {
		w.told = text
		w.progress(text)
	}
	w.last = text
}
