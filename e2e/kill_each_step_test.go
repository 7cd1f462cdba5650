package e2e

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
)

// ours are the processes that are killed.
var ours = []string{"server", "worker", "node"}

// A killing is one kill -9 in the middle of one step.
type killing struct {
	route  string // "" is the ordinary one
	step   string
	victim string
	after  time.Duration // from the begin of the act; 0 is when it is done and not yet recorded
}

func (k killing) String() string {
	return fmt.Sprintf("%s%s killed in %s", prefix(k.route), k.victim, k.step)
}

// long is what a step takes that can be hit by the clock. A shorter one is
// stopped between its act and the record of it.
const long = 150 * time.Millisecond

// killings lists what there is to be killed in a deployment that went by
// undisturbed: each step once, or once for each victim.
func killings(e ended, route string, each bool) []killing {
	began, took := map[string]time.Time{}, map[string]time.Duration{}
	for _, ev := range e.events {
		switch ev.Type {
		case ship.EventStarted:
			began[ev.Step] = ev.At
		case ship.EventDone:
			took[ev.Step] = ev.At.Sub(began[ev.Step])
		}
	}
	var all []killing
	turn := len(route) // so that each route begins with another
	for _, step := range e.steps() {
		if kind, _, _ := strings.Cut(step, " "); route != "" && !slices.Contains(special[route], kind) {
			continue // as in the ordinary route
		}
		k := killing{route: route, step: step}
		if took[step] >= long {
			k.after = took[step] / 2
		}
		for j, v := range ours {
			if k.victim = v; each || turn%len(ours) == j {
				all = append(all, k)
			}
		}
		turn++
	}
	return all
}

// A series deploys a trade again and again, under users, and has something
// killed in every deployment.
type series struct {
	*trade
	u       *users
	killed  map[string]int // by victim
	lost    map[string]int // requests under way, by victim
	kinds   []string       // of steps in which something was killed
	slowest time.Duration
}

// killEachStep deploys undisturbed by each route, and then once for each
// killing. The ordinary route meets every victim in every step, if asked for.
func killEachStep(s *trade, each bool, routes ...string) {
	t := s.w.t
	t.Helper()
	begun := time.Now()
	s.next("")
	s.do("deploy", "production", "--wait=watched").expect(t, 0, "", ship.SchemaChanged, 1)
	r := &series{trade: s, killed: map[string]int{}, lost: map[string]int{}}
	r.u = s.users()
	for _, route := range routes {
		for _, k := range r.undisturbed(route, each) {
			r.hit(k)
		}
	}
	sum := r.u.stop()
	s.takenOnce(s.orders, sum.Posts)
	for _, kind := range deploy.Kinds() {
		if slices.Contains(routes, routeOf(kind)) && !slices.Contains(r.kinds, kind) {
			t.Errorf("nothing was killed in a step of kind %s", kind)
		}
	}
	t.Logf("killed %v in %d deployments, each passed; requests under way lost %v; the slowest deployment took %s, all %s",
		r.killed, s.releases, r.lost, r.slowest.Round(100*time.Millisecond), time.Since(begun).Round(time.Second))
}

// routeOf is the route that has a kind of step.
func routeOf(kind string) string {
	for _, route := range slices.Sorted(maps.Keys(special)) {
		if kind == route || route == "hold" && kind == plan.Open {
			return route
		}
	}
	return ""
}

// undisturbed deploys once and lists what can be killed the next time.
func (r *series) undisturbed(route string, each bool) []killing {
	r.w.t.Helper()
	r.next(route)
	e := r.live(r.verb(route)...).end()
	r.passed("undisturbed", e)
	all := killings(e, route, each)
	if len(all) == 0 {
		r.w.t.Fatalf("%sthere is nothing to kill in %v", prefix(route), e.steps())
	}
	return all
}

func (r *series) verb(route string) []string {
	if route == "" {
		return []string{"deploy", "production", "--wait=watched"}
	}
	return []string{"deploy", "production", "--wait=watched", "--accept", route}
}

// hit deploys the next release, kills the victim in the middle of the step, and
// fails the test unless the run passes all the same.
func (r *series) hit(k killing) {
	r.w.t.Helper()
	r.next(k.route)
	begun := time.Now()
	l := r.strikeIn(k, r.verb(k.route)...)
	r.passed(k.String(), l.end())
	r.w.disarm()
	took := time.Since(begun)
	r.slowest = max(r.slowest, took)
	kind, _, _ := strings.Cut(k.step, " ")
	r.kinds = append(r.kinds, kind)
	r.killed[k.victim]++
	lost := r.unanswered(k)
	r.lost[k.victim] += lost
	r.w.t.Logf("%s after %s: passed in %s, %d requests under way lost", k, k.after.Round(time.Millisecond), took.Round(100*time.Millisecond), lost)
}

// strikeIn starts a verb and kills the victim in the middle of a step of its run.
func (r *series) strikeIn(k killing, verb ...string) *live {
	r.w.t.Helper()
	point := k.step + " after-act"
	if k.after > 0 {
		point = k.step + " after-intent"
	}
	r.w.arm(point, "pause")
	l := r.live(verb...)
	r.w.eventually(2*time.Minute, point+" is reached", func() error {
		if r.w.has(point+".hit") || l.over() {
			return nil
		}
		return fmt.Errorf("it is not yet")
	})
	if !r.w.has(point + ".hit") {
		r.w.t.Fatalf("%s: the run ended before: %s", k, l.end().text)
	}
	strike := r.aim(k.victim)
	if k.after > 0 {
		r.w.arm(point+".go", "")
		<-time.After(k.after)
	}
	strike()
	r.w.arm(point+".go", "")
	if k.victim == "server" {
		r.w.up()
	}
	return l
}

// aim looks for the victim and returns what kills it.
func (r *series) aim(victim string) func() {
	if victim == "server" {
		return r.w.killServer
	}
	info := r.w.nodeInfo()
	if victim == "node" {
		return func() { r.w.kill(info.PID) }
	}
	return func() { r.u.workerDies(); r.w.kill(info.Worker) }
}

// passed fails the test unless a run of the newest release passed, and its end
// is the same wherever one looks.
func (r *series) passed(what string, e ended) {
	t := r.w.t
	t.Helper()
	if e.code != 0 || e.Status != ship.Passed || e.Schema != ship.SchemaChanged || e.Serving != r.releases ||
		!strings.Contains(e.Reason, fmt.Sprintf("v%d", r.releases)) {
		t.Fatalf("%s: exit code %d, %s, schema %s, v%d serves: %s\n%s", what, e.code, e.Status, e.Schema, e.Serving, e.Reason, tail(e.text, 6000))
	}
	if last := r.settled()[0]; last.ID != e.Run || last.Result.Reason != e.Reason || last.Status != ship.Passed {
		t.Errorf("%s: run %s said %q, the history has %s as %s: %q", what, e.Run, e.Reason, last.ID, last.Status, last.Result.Reason)
	}
	if open := r.status().Open; open != nil {
		t.Errorf("%s: run %s is still open: %s", what, open.ID, open.Status)
	}
	if !r.bell.told(r.project, e.Result) {
		t.Errorf("%s: nobody was told how run %s ended", what, e.Run)
	}
	for _, problem := range r.w.journal(e, true) {
		t.Errorf("%s: %s", what, problem)
	}
	r.serves(r.products, r.releases)
	r.appliedOnce(what)
	r.gatedOnce(what)
}

// unanswered fails the test for every request since the last deployment that
// nobody answered, but for those under way when a proxy worker was killed. It
// returns how many those were.
func (r *series) unanswered(k killing) int {
	r.u.mu.Lock()
	defer r.u.mu.Unlock()
	excused := 0
	for _, a := range r.u.lost {
		switch {
		case k.route == "maintenance" && a.Class == "503":
		case k.victim == "worker" && r.u.excused(a):
			excused++
		default:
			r.w.t.Errorf("%s: lost %s %s at %s after %s: %s %s", k, a.Method, a.Path, a.At.Format("15:04:05.000"), a.Latency.Round(time.Millisecond), a.Class, a.Error)
		}
	}
	r.u.lost = nil
	return excused
}

// Every step of a deployment of a real application, with its worker, its
// migrations and its database server, meets the death of each of our processes.
func TestDjangoKillOfAnyProcessInTheMiddleOfAnyStep(t *testing.T) {
	t.Parallel()
	killEachStep(djangoTrade(t), true, "")
}

// The routes for changes that the running release cannot live with. All victims
// in all of their steps: SHIPLOCK_KILLS=all.
func TestDjangoKillInTheStepsOfAnInterruption(t *testing.T) {
	t.Parallel()
	killEachStep(djangoTrade(t), os.Getenv("SHIPLOCK_KILLS") == "all", "hold", "maintenance")
}

func TestFlaskKillInTheMiddleOfAnyStep(t *testing.T) {
	t.Parallel()
	killEachStep(flaskTrade(t), false, "")
}

func TestGoKillInTheMiddleOfAnyStep(t *testing.T) {
	t.Parallel()
	killEachStep(goTrade(t), false, "")
}
