package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

var seed = flag.Uint64("storm.seed", 0, "repeat the storm with this seed; 0 takes a new one")

var stormRuns = flag.Int("storm.runs", 40, "deploy so often in the storm")

const (
	stormKills = 2 // in each run
	stormRate  = 20
	stormDelay = 20 * time.Millisecond // of every answer
)

// A strike is one kill that is due.
type strike struct {
	after  time.Duration // from the begin of the run, or the strike before
	victim string
	down   time.Duration // the server is started again after it
}

// strikes of one run: the server mostly, also the node and the proxy worker,
// at any time of a deployment and a little beyond.
func strikes(r *rand.Rand, within time.Duration) []strike {
	var all []strike
	for range stormKills {
		s := strike{after: time.Duration(r.Int64N(int64(within))), victim: "server", down: time.Duration(r.Int64N(int64(300 * time.Millisecond)))}
		switch n := r.IntN(10); {
		case n < 2:
			s.victim = "node"
		case n < 4:
			s.victim = "worker"
		}
		all = append(all, s)
	}
	return all
}

func (y *weather) strike(s strike, u *users) {
	time.Sleep(s.after)
	switch s.victim {
	case "server":
		y.w.killServer()
		time.Sleep(s.down)
		y.w.up()
	case "node":
		y.w.killNode()
	case "worker":
		pid := y.w.nodeInfo().Worker
		u.workerDies()
		y.w.kill(pid)
	}
}

// A weather is a shop in a storm.
type weather struct {
	*project
	t      *testing.T
	bell   *bell
	within time.Duration // of the begin of a run, and again of the first strike
	next   func() int    // writes the tree of the next release
	users  func() *users
	check  func(posts int64) // compares what was done with what was to be done
}

// TestStorm deploys forty releases while eighty random processes of ours are
// killed, and then compares what was recorded with what was done. With
// SHIPLOCK_STORM=django it does so with the Django shop on PostgreSQL.
func TestStorm(t *testing.T) {
	t.Parallel()
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("again: go test ./e2e -run TestStorm -storm.seed=%d", n)
	r := rand.New(rand.NewPCG(n, 1))
	y := fairWeather(t)
	y.next()
	y.do("deploy", "production", "--wait=watched").expect(t, 0, "", ship.SchemaChanged, 1)
	u := y.users()
	killed := map[string]int{}
	for range *stormRuns {
		release := y.next()
		all := strikes(r, y.within)
		for _, s := range all {
			killed[s.victim]++
		}
		y.stormyRun(all, u)
		if t.Failed() {
			t.Fatalf("release %d, strikes %+v", release, all)
		}
	}
	s := u.stop()
	t.Logf("killed %v", killed)
	y.reckon(s.Posts)
}

// fairWeather is the shop before the storm.
func fairWeather(t *testing.T) *weather {
	t.Helper()
	if os.Getenv("SHIPLOCK_STORM") == "django" {
		s := djangoTrade(t)
		return &weather{
			project: s.project, t: t, bell: s.bell, within: 4 * time.Second, users: s.users,
			next: func() int { s.next(""); return s.releases },
			check: func(posts int64) {
				s.appliedOnce("after the storm")
				s.gatedOnce("after the storm")
				s.serves(s.products, s.releases)
				s.takenOnce(s.orders, posts)
			},
		}
	}
	y := newYard(t, newWorld(t), pace{delay: stormDelay, pause: "0.05", watch: "500ms"})
	return &weather{
		project: y.project, t: t, bell: y.bell, within: 1500 * time.Millisecond,
		users: func() *users { return y.users(stormRate) },
		next:  func() int { y.next(); return y.releases },
		check: func(posts int64) {
			y.appliedOnce(y.releases)
			y.gatesOnce(y.releases)
			y.serves(y.releases)
			y.takenOnce(posts)
		},
	}
}

// stormyRun deploys the folder under strikes, until a run of it was recorded.
// A client whose server dies before it could say which run is its own does not
// know, and is answered by the history.
func (y *weather) stormyRun(all []strike, u *users) {
	y.t.Helper()
	known := len(y.history())
	l := y.live("deploy", "production", "--wait=watched")
	for _, s := range all {
		y.strike(s, u)
		if l.over() && len(y.history()) == known {
			l.end()
			l = y.live("deploy", "production", "--wait=watched")
		}
	}
	e := l.end()
	runs := y.settled()
	if len(runs) == known {
		e = y.live("deploy", "production", "--wait=watched").end()
		runs = y.settled()
	}
	if len(runs) != known+1 {
		y.t.Fatalf("%d runs are recorded, want %d; the client ended with exit code %d: %s", len(runs), known+1, e.code, e.text)
	}
	last := runs[0]
	if last.Status != ship.Passed || last.Result.Serving != last.Request.Release.Number {
		y.t.Errorf("run %s ended %s, v%d serving: %s", last.ID, last.Status, last.Result.Serving, last.Result.Reason)
	}
}

// settled waits until no run is open and returns all, newest first.
func (p *project) settled() []ship.Run {
	p.w.t.Helper()
	var all []ship.Run
	p.w.eventually(2*time.Minute, "every run ends", func() error {
		all = p.history()
		for _, r := range all {
			if !r.Status.Ended() {
				return fmt.Errorf("run %s is %s", r.ID, r.Status)
			}
		}
		return nil
	})
	return all
}

// history asks for all runs until a server answers.
func (p *project) history() []ship.Run {
	p.w.t.Helper()
	var all []ship.Run
	p.w.eventually(time.Minute, "the history can be read", func() error {
		out, code := p.w.run("history", "--data", p.w.data, "-f", p.dir+"/shiplock.yaml", "--limit", "1000", "-o", "json")
		if code != 0 {
			return fmt.Errorf("exit code %d: %s", code, out)
		}
		all = nil
		return json.Unmarshal([]byte(out), &all)
	})
	return all
}

// reckon compares the world with the history when the storm is over.
func (y *weather) reckon(posts int64) {
	y.t.Helper()
	runs := y.settled()
	if len(runs) != *stormRuns+1 {
		y.t.Errorf("%d runs are recorded, want %d", len(runs), *stormRuns+1)
	}
	for _, r := range runs {
		if r.Result.Reason == "" || r.Result.Run != r.ID {
			y.t.Errorf("run %s has no result: %+v", r.ID, r.Result)
		}
		if !y.bell.told(y.project, r.Result) {
			y.t.Errorf("nobody was told how run %s ended", r.ID)
		}
	}
	y.check(posts)
}
