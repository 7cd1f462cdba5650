package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
)

// moments are the places around the two writes of the journal that every step
// has.
var moments = []string{"before-intent", "after-intent", "after-act", "after-done"}

// A cell is one fault at one moment of one step.
type cell struct {
	route  string // "" is the ordinary one; in those that end in "back" the run goes back
	step   string
	moment string
	fault  fault
}

func (c cell) String() string { return fmt.Sprintf("%s, %s %s", c.fault.name, c.step, c.moment) }

// kind is the kind of the cell's step.
func (c cell) kind() string { kind, _, _ := strings.Cut(c.step, " "); return kind }

// way is the route without what becomes of the run.
func (c cell) way() string { return way(c.route) }

func way(route string) string { return strings.TrimSpace(strings.TrimSuffix(route, "back")) }

// alone tells whether the run does nothing but change the schema.
func (c cell) alone() bool { return c.route == "down" || c.route == "contract" }

func goesBack(route string) bool { return strings.HasSuffix(route, "back") }

// An attempt is a deployment that meets the fault of a cell.
type attempt struct {
	y       *yard
	u       *users
	cell    cell
	before  int // number of the release that served
	version int // and what it called itself
	live    *live
	since   time.Time
	stopped []int
	briefly bool // the fault lasts a second only

	end      string // how the run ended
	took     time.Duration
	lost     int // requests with an excuse
	problems []string
}

func (a *attempt) complain(format string, args ...any) {
	a.problems = append(a.problems, fmt.Sprintf(format, args...))
}

// quick makes deployments short: the matrix has hundreds of them.
var quick = pace{delay: 20 * time.Millisecond, pause: "0.01", rows: 1, watch: "400ms", giveUp: "5s"}

// The full matrix takes most of an hour: SHIPLOCK_MATRIX=all. Otherwise each
// step meets two faults, at two of its moments, so that every fault is met too.
func TestCrashMatrix(t *testing.T) {
	t.Parallel()
	all := os.Getenv("SHIPLOCK_MATRIX") == "all"
	var done []outcome
	whole := true // nothing was left out by -run
	for _, route := range []string{"", "hold", "maintenance", "down", "contract", "back", "hold back", "maintenance back"} {
		for _, group := range groups(all) {
			ran := false
			name := strings.TrimSpace(route + " " + group.name)
			t.Run(name, func(t *testing.T) {
				ran = true
				book := &book{}
				if all {
					book.path = kept(name)
				}
				defer func() { done = append(done, book.done...) }()
				runGroup(t, route, group, book)
			})
			if !all {
				whole = whole && ran
			}
			if all && !ran { // in another run, perhaps
				part := readBook(t, kept(name))
				done, whole = append(done, part...), whole && len(part) > 0
			}
		}
	}
	if whole {
		everyKindHasARow(t, done, all)
	}
	if whole || all {
		report(t, done, all)
	}
}

// A group of cells shares a machine.
type group struct {
	name string
	pick func(step, moment, fault int) bool
}

func groups(all bool) []group {
	if !all {
		return []group{{"sample", func(step, moment, fault int) bool {
			return step%2 == moment%2 && (4*step+3*moment)%len(faults) == fault
		}}}
	}
	var out []group
	for i, f := range faults {
		out = append(out, group{f.name, func(_, _, fault int) bool { return fault == i }})
	}
	return out
}

// everyKindHasARow fails the test when there is a kind of step that was never
// interrupted, or not at each of its moments in the whole matrix.
func everyKindHasARow(t *testing.T, done []outcome, all bool) {
	kinds := deploy.Kinds()
	for _, kind := range deploy.Undoable() {
		kinds = append(kinds, "undo "+kind)
	}
	for _, kind := range kinds {
		met := map[string]bool{}
		for _, o := range done {
			if o.Step == kind || strings.HasPrefix(o.Step, kind+" ") {
				met[o.Moment] = true
			}
		}
		if len(met) == 0 || all && len(met) < len(moments) {
			t.Errorf("at a step of kind %s, runs were disturbed at %d of %d moments", kind, len(met), len(moments))
		}
	}
	for _, f := range faults {
		if !slices.ContainsFunc(done, func(o outcome) bool { return o.Fault == f.name }) {
			t.Errorf("nothing met the fault %q", f.name)
		}
	}
}

// runGroup deploys undisturbed, which shows the steps there are, and then once
// for each cell.
func runGroup(t *testing.T, route string, g group, b *book) {
	w := newFaultyWorld(t)
	y := newYard(t, w, quick)
	y.write("migrations/00101_gauge.sql", "-- +goose Up\nCREATE TABLE gauge (g1 TEXT);\n\n-- +goose Down\nDROP TABLE gauge;\n", 0o644)
	y.next()
	y.do("deploy", "production", "--wait=watched").expect(t, 0, "", ship.SchemaChanged, 1)
	u := y.users(20)
	y.nextOn(route)
	e := y.live(y.verb(route)...).end()
	if (e.Status == ship.Passed) == goesBack(route) {
		t.Fatalf("undisturbed: %s", e.text)
	}
	steps := y.disturbed(route, e)
	if goesBack(route) {
		y.again(route).expectPassed(t)
	}
	for i, step := range steps {
		for j, m := range moments {
			for k, f := range faults {
				if !g.pick(i, j, k) {
					continue
				}
				a := &attempt{y: y, u: u, cell: cell{route, step, m, f}}
				b.begin(a)
				a.carryOut()
				b.end(t, a)
				t.Logf("%s%s: %s after %s, %d requests under way lost", prefix(route), a.cell, a.end, a.took.Round(100*time.Millisecond), a.lost)
				for _, p := range a.problems {
					t.Errorf("%s%s: %s", prefix(route), a.cell, p)
				}
			}
		}
	}
	if route == "down" {
		y.do("deploy", "production", "--wait=watched").expectPassed(t)
	}
	s := u.stop()
	y.takenOnce(s.Posts)
	y.appliedOnce(y.releases)
}

// disturbed are the steps of a run in which the route is met. A run that went
// back shows what it took back, in that order.
func (y *yard) disturbed(route string, e ended) []string {
	y.t.Helper()
	if !goesBack(route) {
		return slices.DeleteFunc(e.steps(), func(step string) bool {
			kind, _, _ := strings.Cut(step, " ")
			return route != "" && !slices.Contains(special[route], kind) // as in the ordinary route
		})
	}
	var names []string
	steps, _ := y.w.noted(e.Run)
	for _, s := range steps {
		if s.state == ship.StepUndone {
			names = append([]string{"undo " + s.name}, names...)
		}
	}
	if len(names) == 0 {
		y.t.Fatalf("nothing was taken back: %s", e.text)
	}
	return names
}

// special are the steps in which a route is other than the ordinary one.
var special = map[string][]string{
	"hold":        {plan.Hold, plan.Migrate, plan.Shift, plan.Open},
	"maintenance": {plan.Maintenance, plan.Migrate, plan.Shift, plan.Open},
	"down":        {plan.Down},
	"contract":    {plan.Contract},
}

func prefix(route string) string {
	if route == "" {
		return ""
	}
	return route + ": "
}

// verb is the command that is disturbed.
func (y *yard) verb(route string) []string {
	switch route = way(route); route {
	case "":
		return []string{"deploy", "production", "--wait=watched"}
	case "down":
		return []string{"migrate", "down", "production", fmt.Sprintf("%05d_mark", 1000+y.releases), "--yes"}
	case "contract":
		return []string{"migrate", "contract", "production", "--yes"}
	}
	return []string{"deploy", "production", "--wait=watched", "--accept", route}
}

// nextOn writes the tree of a release that needs the route. To take a migration
// back it has to be there, and the release that serves must not need it.
func (y *yard) nextOn(route string) {
	y.t.Helper()
	y.next()
	switch route {
	case "back": // every answer is too slow, as is seen after the swap
		y.version(120 * time.Millisecond)
		y.change("shiplock.yaml", "warmup: [/, /products]", "warmup: []")
		y.change("shiplock.yaml", "watch: {for: "+y.pace.watch+",", "watch: {for: 5s, p95: 50ms, warmup: 100ms,")
	case "hold back", "maintenance back": // it never becomes healthy
		y.change("shiplock.yaml", "path: /healthz", "path: /nothing")
		y.change("shiplock.yaml", "give_up: "+y.pace.giveUp, "give_up: 500ms")
	}
	switch way(route) {
	case "hold", "maintenance":
		y.migration("contract", fmt.Sprintf("ALTER TABLE gauge RENAME COLUMN g%d TO g%d;", y.releases-1, y.releases), fmt.Sprintf("ALTER TABLE gauge RENAME COLUMN g%d TO g%d;", y.releases, y.releases-1))
	case "contract":
		y.migration("contract", fmt.Sprintf("ALTER TABLE gauge RENAME COLUMN g%d TO g%d;", y.releases-1, y.releases), fmt.Sprintf("ALTER TABLE gauge RENAME COLUMN g%d TO g%d;", y.releases, y.releases-1))
		y.change("shiplock.yaml", "keep_old: 5m", "keep_old: 1s")
		y.do("deploy", "production", "--wait=watched").expectPassed(y.t)
		y.alone()
	case "down":
		y.do("deploy", "production", "--wait=watched").expectPassed(y.t)
		y.do("rollback", "production", "--yes").expectPassed(y.t)
	}
}

// alone waits until nothing runs of the release that served before.
func (p *project) alone() {
	p.w.t.Helper()
	p.w.eventually(time.Minute, "the old release is stopped", func() error {
		o := p.status().Observed
		for _, i := range o.Slots[o.Active.Other()].Instances {
			if i.State == "running" || i.State == "backoff" {
				return fmt.Errorf("%s is %s", i.ID, i.State)
			}
		}
		return nil
	})
}

// again deploys a release that did not pass, without what made it fail.
func (y *yard) again(route string) ended {
	y.t.Helper()
	y.configure()
	y.version(y.pace.delay)
	return y.do(y.verb(route)...)
}

// carryOut deploys the next release, has the fault happen, and judges what
// became of it. A release that did not pass is deployed again undisturbed: what
// is left of the fault must not be in its way.
func (a *attempt) carryOut() {
	w := a.y.w
	a.y.nextOn(a.cell.route)
	a.before = a.y.status().Release.Number
	_, header, _ := a.y.get("/products")
	a.version, _ = strconv.Atoi(header.Get("X-Shop-Version"))
	point := a.cell.step + " " + a.cell.moment
	action := "pause"
	if a.cell.fault.kills {
		action = "kill"
	}
	w.arm(point, action)
	begun := time.Now()
	a.live = a.y.live(a.y.verb(a.cell.route)...)
	w.eventually(time.Minute, point+" is reached", func() error {
		if w.has(point+".hit") || a.live.over() {
			return nil
		}
		return fmt.Errorf("it is not yet")
	})
	if !w.has(point + ".hit") {
		a.y.t.Fatalf("%s: the run ended before: %s", a.cell, a.live.end().text)
	}
	a.cell.fault.begin(a)
	w.arm(point+".go", "")
	a.await()
	if a.cell.fault.end != nil {
		a.cell.fault.end(a)
	}
	e := a.live.end()
	w.disarm()
	a.took = time.Since(begun)
	a.judge(e)
	if a.end != "passed" {
		again := a.y.again(a.cell.route)
		if again.Status != ship.Passed {
			a.complain("the next deployment of the same release: exit code %d, %s: %s", again.code, again.Status, again.Reason)
		}
		a.y.serves(a.passedServes())
	}
	a.traffic()
}

// await waits until the run has ended, or the fault has lasted long enough.
func (a *attempt) await() {
	lasts := a.cell.fault.lasts
	if a.briefly {
		lasts = min(lasts, time.Second)
	}
	if lasts == 0 {
		return
	}
	select {
	case <-a.live.done:
	case <-time.After(lasts):
	}
}

// run returns the ID of the run that is under way.
func (a *attempt) run() string {
	if open := a.y.status().Open; open != nil {
		return open.ID
	}
	return ""
}

// nodeState is what of the node's own file is compared with the journal.
func (a *attempt) nodeState() (s struct {
	Environments map[string]struct {
		Epoch     int64           `json:"epoch"`
		Grantee   string          `json:"grantee"`
		Grant     json.RawMessage `json:"grant"`
		ActiveRun string          `json:"active_run"`
	} `json:"environments"`
},
) {
	b, err := os.ReadFile(filepath.Join(a.y.w.data, "node", "state.json"))
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		a.complain("the node's state: %v", err)
	}
	return s
}

// passedServes is the release that serves when the run passed.
func (a *attempt) passedServes() int {
	if a.cell.route == "down" {
		return a.before
	}
	return a.y.releases
}
