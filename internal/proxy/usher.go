package proxy

import (
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// lookAgain is how often an usher looks for streams it does not know yet.
const lookAgain = 250 * time.Millisecond

// An usher asks the streams of a generation to end, evenly over a time, so
// that their clients do not all come back at once. A stream ends where nothing
// is cut in two; one that finds no such place until the time is over is not
// the usher's to cut.
type usher struct {
	until  time.Time // the last is asked by then
	next   time.Time
	looked time.Time
	asked  map[*exchange]bool
	queue  []*exchange
}

func newUsher(now time.Time, within time.Duration) *usher {
	// What is asked last needs a moment to go, too.
	return &usher{until: now.Add(within - min(within/5, 2*time.Second)), next: now, asked: map[*exchange]bool{}}
}

// step asks those whose turn has come.
func (u *usher) step(now time.Time, g *generation) {
	if now.Sub(u.looked) >= lookAgain || !now.Before(u.until) {
		u.look(now, g)
	}
	for len(u.queue) > 0 && !now.Before(u.next) {
		ex := u.queue[0]
		u.queue = u.queue[1:]
		u.asked[ex] = true
		ex.stream.ask()
		u.plan(u.next)
	}
}

// look finds who has yet to be asked.
func (u *usher) look(now time.Time, g *generation) {
	u.looked = now
	idle := len(u.queue) == 0
	open := map[*exchange]bool{}
	u.queue = g.roster.all(func(ex *exchange) bool {
		if ex.protocol() == ship.HTTP {
			return false
		}
		open[ex] = u.asked[ex]
		return !u.asked[ex]
	})
	u.asked = open
	if idle {
		u.plan(now)
	}
}

// plan spreads those who are left over the time that is left.
func (u *usher) plan(from time.Time) {
	u.next = from.Add(max(u.until.Sub(from), 0) / time.Duration(len(u.queue)+1))
}
