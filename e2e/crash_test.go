package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// slowly makes every step long enough to be hit.
var slowly = pace{delay: 80 * time.Millisecond, pause: "0.2", notify: 200 * time.Millisecond, rows: 200_000, watch: "700ms"}

// A victim is one of our processes.
type victim struct {
	name string
	kill func(*yard, *users)
}

var victims = []victim{
	{"server", func(y *yard, _ *users) { y.w.killServer(); y.w.up() }},
	{"worker", func(y *yard, u *users) {
		pid := y.w.nodeInfo().Worker
		u.workerDies()
		y.w.kill(pid)
	}},
	{"node", func(y *yard, _ *users) { y.w.killNode() }},
}

// stepsOf deploys once and returns what there is to be hit.
func stepsOf(t *testing.T, y *yard, args ...string) []string {
	t.Helper()
	e := y.live(append([]string{"deploy", "production", "--wait=watched"}, args...)...).end()
	e.expect(t, 0, "", ship.SchemaChanged, y.releases)
	return e.steps()
}

func TestKillOfAnyProcessInTheMiddleOfAnyStep(t *testing.T) {
	t.Parallel()
	for _, v := range victims {
		t.Run(v.name, func(t *testing.T) {
			w := newWorld(t)
			y := newYard(t, w, slowly)
			y.next()
			stepsOf(t, y)
			u := y.users(30)
			y.next()
			steps := stepsOf(t, y)
			for _, must := range []string{"gate once", "backup", "migrate", "start", "health", "warmup", "smoke", "shift", "drain", "watch", "notify"} {
				if !slices.Contains(steps, must) {
					t.Fatalf("the deployment has no step %s: %v", must, steps)
				}
			}
			for _, step := range steps {
				y.hit(step, v, u)
			}
			s := u.stop()
			y.appliedOnce(y.releases)
			y.gatesOnce(y.releases)
			y.takenOnce(s.Posts)
		})
	}
}

// hit deploys the next release, kills the victim when the step begins, and
// fails the test unless the run passes all the same.
func (y *yard) hit(step string, v victim, u *users) {
	y.t.Helper()
	y.next()
	y.hitRun(step, v, u)
}

// hitBreaking does the same with a release whose migration the running one
// could not live with.
func (y *yard) hitBreaking(step string, v victim, u *users, route string) {
	y.t.Helper()
	y.breaking()
	y.hitRun(step, v, u, "--accept", route)
}

func (y *yard) hitRun(step string, v victim, u *users, args ...string) {
	y.t.Helper()
	l := y.live(append([]string{"deploy", "production", "--wait=watched"}, args...)...)
	if !l.started(step) {
		e := l.end()
		y.t.Fatalf("%s: the step did not begin: %s", step, e.text)
	}
	v.kill(y, u)
	e := l.end()
	if e.code != 0 || e.Status != ship.Passed || e.Schema != ship.SchemaChanged {
		y.t.Fatalf("%s killed in %s: exit code %d, %s, schema %s: %s\n%s", v.name, step, e.code, e.Status, e.Schema, e.Reason, tail(e.text, 5000))
	}
	y.serves(y.releases)
	if open := y.status().Open; open != nil {
		y.t.Errorf("%s killed in %s: run %s is still open: %s", v.name, step, open.ID, open.Status)
	}
	if !y.bell.told(y.project, e.Result) {
		y.t.Errorf("%s killed in %s: nobody was told how run %s ended", v.name, step, e.Run)
	}
	y.appliedOnce(y.releases)
}

// The routes for changes that the running release cannot live with have steps
// of their own, in which no request reaches the database.
func TestKillInTheStepsOfAnInterruption(t *testing.T) {
	t.Parallel()
	for _, route := range []string{"hold", "maintenance"} {
		for _, v := range victims {
			t.Run(route+" "+v.name, func(t *testing.T) {
				y := newYard(t, newWorld(t), slowly)
				y.next()
				ordinary := stepsOf(t, y)
				y.next()
				y.do("deploy", "production", "--wait=watched").expect(t, 0, "", ship.SchemaChanged, 2)
				u := y.users(20)
				y.breaking()
				steps := stepsOf(t, y, "--accept", route)
				for _, must := range []string{route, "open"} {
					if !slices.Contains(steps, must) {
						t.Fatalf("the deployment has no step %s: %v", must, steps)
					}
				}
				for _, step := range steps {
					if slices.Contains(ordinary, step) && step != "migrate" && step != "shift" {
						continue // hit in the ordinary route
					}
					// What is taken away next has to be there.
					y.next()
					y.do("deploy", "production", "--wait=watched").expect(t, 0, "", ship.SchemaChanged, y.releases)
					y.hitBreaking(step, v, u, route)
				}
				if route == "maintenance" {
					u.allow("503")
				}
				s := u.stop()
				y.gatesOnce(y.releases)
				y.takenOnce(s.Posts)
			})
		}
	}
}

// A power cut ends everything at once, and nothing of ours can do anything
// about it. Without the instances it is as if the machine had lost only us.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	for _, instances := range []bool{false, true} {
		t.Run(fmt.Sprintf("instances %t", instances), func(t *testing.T) {
			w := newWorld(t)
			y := newYard(t, w, slowly)
			y.next()
			stepsOf(t, y)
			for _, step := range []string{"prepare", "gate once", "migrate", "start", "shift", "watch"} {
				y.cut(step, instances)
			}
			y.appliedOnce(y.releases)
		})
	}
}

// cut deploys the next release and cuts the power when a step begins.
func (y *yard) cut(step string, instances bool) {
	y.t.Helper()
	before := y.status().Release.Number
	y.next()
	l := y.live("deploy", "production", "--wait=watched")
	if !l.started(step) {
		y.t.Fatalf("%s: the step did not begin: %s", step, l.end().text)
	}
	pids := []int{y.w.nodeInfo().PID, y.w.nodeInfo().Worker}
	if instances {
		for _, slot := range y.status().Observed.Slots {
			for _, i := range slot.Instances {
				if i.PID != 0 {
					pids = append(pids, i.PID)
				}
			}
		}
	}
	y.w.kill(y.w.server.Process.Pid)
	for _, pid := range pids {
		y.w.kill(pid)
	}
	_ = y.w.server.Wait()
	y.w.up()
	e := l.end()
	serving := y.releases
	switch {
	case e.Status == ship.Passed && e.code == 0:
	case instances && e.Status == ship.Broken && (e.code == 3 || e.code == 4):
		// Instances that die with the power speak against nobody, but a
		// candidate that was about to be judged may be given up.
		serving = before
	default:
		y.t.Fatalf("power cut in %s: exit code %d, %s: %s\n%s", step, e.code, e.Status, e.Reason, tail(e.text, 5000))
	}
	y.t.Logf("power cut in %s: %s", step, e.Reason)
	y.serves(serving)
	if open := y.status().Open; open != nil {
		y.t.Errorf("power cut in %s: run %s is still open: %s", step, open.ID, open.Status)
	}
}

// A release that fails ends as it would have, however often the server is
// killed while that is found out and taken back.
func TestKillWhileARunFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		ruin func(*yard)
		mend func(*yard)
		code int
		kind ship.Kind
		step string
	}{
		{
			"gate", func(y *yard) { y.change("shiplock.yaml", "sleep 0.2\"]", "sleep 0.2; exit 3\"]") },
			(*yard).configure, 5, ship.GateFailed, "gate once",
		},
		{
			"migration", func(y *yard) {
				y.change("migrations/01002_mark.sql", "INSERT INTO marks", "INSERT INTO nowhere SELECT 1;\nINSERT INTO marks")
			},
			func(y *yard) { y.change("migrations/01002_mark.sql", "INSERT INTO nowhere SELECT 1;\n", "") }, 10, ship.MigrationFailed, "migrate",
		},
		{
			"smoke", func(y *yard) { y.change("shiplock.yaml", "smoke: [/products]", "smoke: [/nowhere]") },
			(*yard).configure, 3, ship.Failed, "smoke",
		},
		{"watch", func(y *yard) {
			y.change("shiplock.yaml", "smoke: [/products]\n", "")
			y.change("shiplock.yaml", "watch: {for: 700ms, error_rate: 50%", "watch: {for: 20s, error_rate: 5%")
			y.write("VERSION", "2\nerrors=2\n", 0o644)
		}, func(y *yard) { y.configure(); y.write("VERSION", "2\n", 0o644) }, 4, ship.RolledBack, "watch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			y := newYard(t, newWorld(t), slowly)
			y.next()
			stepsOf(t, y)
			u := y.users(30)
			y.next()
			c.ruin(y)
			for _, at := range []string{ship.EventStarted, ship.EventFailed, ship.EventUndone, ship.EventFinal} {
				l := y.live("deploy", "production", "--wait=watched")
				reached := l.await(func(e ship.Event) bool { return e.Type == at && (e.Step == c.step || at != ship.EventStarted) })
				if reached {
					y.w.killServer()
					y.w.up()
				}
				e := l.end()
				if e.code != c.code || e.Kind != c.kind || e.Serving != 1 {
					t.Errorf("killed at %q: exit code %d, kind %q, v%d serving, want %d, %q, v1: %s\n%s", at, e.code, e.Kind, e.Serving, c.code, c.kind, e.Reason, tail(e.text, 3000))
				}
				last := y.settled()[0]
				if last.Result.Kind != c.kind || last.Status != ship.Broken {
					t.Errorf("killed at %q: the history has run %s as %s, kind %q: %s", at, last.ID, last.Status, last.Result.Kind, last.Result.Reason)
				}
				if y.bell.times(last.ID) == 0 {
					t.Errorf("killed at %q: nobody was told of run %s", at, last.ID)
				}
				y.serves(1)
			}
			c.mend(y)
			y.do("deploy", "production", "--wait=watched").expectPassed(t)
			y.serves(2)
			y.appliedOnce(2)
			u.allow("500")
			s := u.stop()
			y.takenOnce(s.Posts)
		})
	}
}

func (e ended) expectPassed(t *testing.T) {
	t.Helper()
	if e.code != 0 || e.Status != ship.Passed {
		t.Errorf("exit code %d, %s: %s\n%s", e.code, e.Status, e.Reason, tail(e.text, 3000))
	}
}
