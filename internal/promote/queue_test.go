package promote_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shiplock/shiplock/internal/ship"
)

// A line is one environment with what somebody did to it, and what has to
// follow.
type line struct {
	t      *rapid.T
	h      *hall
	env    ship.Environment
	locked bool
	wishes []string // runs of those who were ready to wait, in order
	ended  []string // by the test
}

func (l *line) check(err error) {
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *line) ask(verb string, queue bool) {
	rel, err := l.h.store.Release(l.h.t.Context(), "shop", 1)
	l.check(err)
	run, err := l.h.desk.Ask(l.h.t.Context(), ship.Request{Verb: verb, Environment: l.env, Release: rel, By: "ann"}, queue)
	if ship.KindOf(err) == ship.Locked && !(queue && verb == ship.VerbDeploy) {
		return
	}
	l.check(err)
	if l.locked && verb != ship.VerbRollback && run.Status != ship.Queued {
		l.t.Fatalf("%s of %s is %s although it is locked", run.ID, verb, run.Status)
	}
	l.wishes = append(l.wishes, run.ID)
}

// look has the desk look. It begins nothing where there is a lock.
func (l *line) look() {
	before := len(l.runs(ship.RunFilter{Open: true}))
	l.check(l.h.desk.Look(l.h.t.Context()))
	if after := len(l.runs(ship.RunFilter{Open: true})); l.locked && after != before {
		l.t.Fatal("what waits began although it is locked")
	}
}

func (l *line) runs(f ship.RunFilter) []ship.Run {
	f.App, f.Env = "shop", l.env.ID.Name
	all, err := l.h.store.Runs(l.h.t.Context(), f)
	l.check(err)
	return all
}

func (l *line) end() {
	for _, r := range l.runs(ship.RunFilter{Open: true}) {
		l.check(l.h.store.SetStatus(l.h.t.Context(), r.ID, ship.Passed, ship.Result{}))
		l.ended = append(l.ended, r.ID)
	}
}

func (l *line) abort() {
	for _, r := range l.runs(ship.RunFilter{Queued: true}) {
		_, err := l.h.desk.Abort(l.h.t.Context(), r, "bob")
		l.check(err)
		l.ended = append(l.ended, r.ID)
	}
}

func (l *line) lock() {
	var err error
	if l.locked {
		_, err = l.h.store.Unlock(l.h.t.Context(), l.env.ID, "dana", time.Now())
	} else {
		_, err = l.h.store.Lock(l.h.t.Context(), ship.Lock{Environment: l.env.ID, By: "dana", Reason: "x", At: time.Now()})
	}
	l.check(err)
	l.locked = !l.locked
}

// holds compares what is recorded with what was done.
func (l *line) holds() {
	open, queued := l.runs(ship.RunFilter{Open: true}), l.runs(ship.RunFilter{Queued: true})
	if len(open) > 1 || len(queued) > 1 {
		l.t.Fatalf("%d runs have the environment and %d wait", len(open), len(queued))
	}
	if len(queued) == 1 && len(open) == 0 && !l.locked {
		l.t.Fatalf("%s waits for nobody: %s", queued[0].ID, queued[0].Result.Reason)
	}
	for i, id := range l.wishes {
		run := l.h.run(id)
		last := i == len(l.wishes)-1
		switch {
		case last && run.Status == ship.Superseded:
			l.t.Fatalf("the newest wish, %s, was superseded", id)
		case run.Status == ship.Queued && !last && !slices.Contains(l.verbs(l.wishes[i+1:]), ship.VerbMigrate):
			l.t.Fatalf("%s waits although there is a newer wish", id)
		case run.Status == ship.Broken:
			l.t.Fatalf("%s ended %s: %s", id, run.Status, run.Result.Reason)
		}
		began := run.Status == ship.Planned || run.Status == ship.Passed
		if n := l.h.begun(id); began && n != 1 || !began && n != 0 {
			l.t.Fatalf("%s is %s and was started %d times", id, run.Status, n)
		}
	}
}

func (l *line) verbs(ids []string) (all []string) {
	for _, id := range ids {
		all = append(all, l.h.run(id).Request.Verb)
	}
	return all
}

// Whatever happens, one run has the environment and one waits, the newest wish
// is never the one that is superseded, and nothing begins twice.
func TestTheNewestWishWinsWhateverHappens(t *testing.T) {
	h := newHall(t)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		l := &line{t: rt, h: h, env: ship.Environment{ID: ship.EnvironmentID{App: "shop", Name: fmt.Sprintf("env-%d", n)}}}
		for range rapid.IntRange(1, 10).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"wait", "wait", "wait", "now", "back", "migrate", "end", "end", "lock", "abort"}).Draw(rt, "step") {
			case "wait":
				l.ask(ship.VerbDeploy, true)
			case "now":
				l.ask(ship.VerbDeploy, false)
			case "back":
				l.ask(ship.VerbRollback, true)
			case "migrate":
				l.ask(ship.VerbMigrate, true)
			case "end":
				l.end()
			case "lock":
				l.lock()
			case "abort":
				l.abort()
			}
			if rapid.Bool().Draw(rt, "look") {
				l.look()
			}
		}
		l.look()
		l.holds()
		l.end() // leave nothing for the next
		l.abort()
	})
}
