package e2e

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/ship"
)

func TestOfTwoDeploymentsAtOnceOneRunsAndTheOtherIsToldWhoDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	y := newYard(t, w, pace{pause: "1", watch: "500ms"})
	y.next()
	y.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	other := y.another()
	y.next()
	other.releases = y.releases
	other.next() // a third release, from the other folder

	both := []*live{y.live("deploy", "production"), other.live("deploy", "production")}
	ends := []ended{both[0].end(), both[1].end()}
	slices.SortFunc(ends, func(a, b ended) int { return a.code - b.code })
	ran, refused := ends[0], ends[1]
	if ran.code != 0 || refused.code != 8 {
		t.Fatalf("exit codes %d and %d, want 0 and 8:\n%s\n%s", ran.code, refused.code, ran.text, refused.text)
	}
	if !strings.Contains(refused.text, "held by run "+ran.Run+" ") {
		t.Errorf("the one refused is not told that run %s holds it: %s", ran.Run, refused.text)
	}
	if got := y.status(); got.Open != nil || got.Observed.Epoch != 2 {
		t.Errorf("epoch %d, open run %v: want the second epoch and no run", got.Observed.Epoch, got.Open)
	}
}

// alone is a deployer without a server: it carries its runs out in its own
// process, with its own state.
type alone struct {
	*yard
	state string
}

func (y *yard) alone() *alone { return &alone{y, "file://" + y.t.TempDir()} }

// claim is how long the environment stays a deployer's that is not heard of.
const claim = 2 * time.Second

func (a *alone) deploy() *live {
	a.t.Helper()
	return a.live("deploy", "production", "--state", a.state, "--claim", claim.String())
}

// nodeOnly is a world without a server.
func nodeOnly(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, binary: binary, data: t.TempDir()}
	t.Cleanup(w.stop)
	return w
}

func TestA42TwoDeployersWithoutAServerExcludeEachOther(t *testing.T) {
	t.Parallel()
	y := newYard(t, nodeOnly(t), pace{pause: "1", watch: "500ms"})
	first, second := y.alone(), y.another().alone()
	y.next()
	// Both name their runs from one on: that they are called alike must not
	// make one of them.
	a := first.deploy()
	if !a.started("gate once") {
		t.Fatal(a.end().text)
	}
	second.next()
	second.next()
	b := second.deploy().end()
	ran := a.end()
	ran.expect(t, 0, "", ship.SchemaChanged, 1)
	if b.code != 8 || !strings.Contains(b.text, ran.Run) {
		t.Errorf("the second ended with exit code %d and does not name run %s: %s", b.code, ran.Run, b.text)
	}
	y.appliedOnce(1)
	y.gatesOnce(1)
	if n := y.gatesRun()["3"]; n != 0 {
		t.Errorf("the gate of the second ran %d times", n)
	}
}

// state is everything a deployer could have changed outside its own folder.
func (y *yard) state() string {
	y.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	o, err := y.w.node().Observe(ctx, ship.EnvironmentID{App: "shop", Name: "production"})
	if err != nil {
		y.t.Fatal(err)
	}
	said := fmt.Sprintf("epoch %d\nheld %t, %s, active %s\n", o.Epoch, o.Holder != nil, o.Mode, o.Active)
	for _, slot := range []ship.Slot{ship.Blue, ship.Green} {
		s := o.Slots[slot]
		said += fmt.Sprintf("%s: run %s", slot, s.Run)
		for _, i := range s.Instances {
			said += fmt.Sprintf(", %s pid %d %s", i.ID, i.PID, i.State)
		}
		said += "\n"
	}
	for _, q := range []string{
		"SELECT 'fence ' || epoch || ' ' || run FROM _shiplock_fence",
		"SELECT 'migration ' || migration || ' ' || status || ' ' || epoch FROM _shiplock_migration ORDER BY migration",
		"SELECT 'mark ' || migration FROM marks ORDER BY rowid",
		"SELECT 'schema ' || coalesce(sql, '') FROM sqlite_schema ORDER BY name",
	} {
		said += strings.Join(y.query(q), "\n") + "\n"
	}
	return said
}

// A deployer that was stopped for longer than its claim, while another took
// over and finished, must change nothing when it goes on.
func TestASleeperChangesNothing(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"prepare", "gate once", "start", "warmup", "shift", "watch"} {
		t.Run(step, func(t *testing.T) { sleepThrough(t, step) })
	}
}

func sleepThrough(t *testing.T, step string) {
	w := nodeOnly(t)
	y := newYard(t, w, slowly)
	first := y.alone()
	y.next()
	first.deploy().end().expect(t, 0, "", ship.SchemaChanged, 1)
	u := y.users(20)
	y.next()
	sleeper := first.deploy()
	if !sleeper.started(step) {
		t.Fatal(sleeper.end().text)
	}
	if err := sleeper.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	awake := false
	wake := func() {
		if !awake {
			awake = true
			if err := sleeper.cmd.Process.Signal(syscall.SIGCONT); err != nil {
				t.Error(err)
			}
		}
	}
	defer wake()
	second := y.another().alone()
	second.next() // has the sleeper's migration, and one of its own
	var took ended
	w.eventually(2*time.Minute, "the other deployer takes over", func() error {
		if took = second.deploy().end(); took.code == 8 {
			return fmt.Errorf("exit code 8: %s", took.Reason)
		}
		return nil
	})
	took.expect(t, 0, "", ship.SchemaChanged, 1) // the first release it knows
	before := y.state()
	wake()
	end := sleeper.end()
	if end.code != 8 || end.Kind != ship.Fenced || !strings.Contains(end.Reason, "taken over by another deployer") {
		t.Errorf("the sleeper ended with exit code %d, kind %q: %s\n%s", end.code, end.Kind, end.Reason, tail(end.text, 3000))
	}
	if after := y.state(); after != before {
		t.Errorf("the sleeper changed this:\n%s", cmp.Diff(before, after))
	}
	u.stop()
	y.appliedOnce(second.releases)
	if code, header, _ := y.get("/products"); code != http.StatusOK || header.Get("X-Shop-Version") != "3" {
		t.Errorf("version %q answers %d, want 3", header.Get("X-Shop-Version"), code)
	}
}

// One that was stopped within a transaction keeps the others waiting at the
// database, which knows no other way; nothing is done twice when it goes on.
func TestASleeperInAMigrationIsWaitedFor(t *testing.T) {
	t.Parallel()
	y := newYard(t, nodeOnly(t), slowly)
	first := y.alone()
	y.next()
	first.deploy().end().expect(t, 0, "", ship.SchemaChanged, 1)
	y.next()
	sleeper := first.deploy()
	if !sleeper.started("migrate") {
		t.Fatal(sleeper.end().text)
	}
	if err := sleeper.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	second := y.another().alone()
	second.next()
	var waits *live
	y.w.eventually(2*time.Minute, "the other deployer takes over", func() error {
		if waits = second.deploy(); waits.started("migrate") {
			return nil
		}
		return fmt.Errorf("%s", waits.end().Reason)
	})
	if err := sleeper.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	end := sleeper.end()
	if end.code != 8 || end.Kind != ship.Fenced {
		t.Errorf("the sleeper ended with exit code %d, kind %q: %s\n%s", end.code, end.Kind, end.Reason, tail(end.text, 3000))
	}
	waits.end().expect(t, 0, "", ship.SchemaChanged, 1)
	y.appliedOnce(second.releases)
	if code, header, _ := y.get("/products"); code != http.StatusOK || header.Get("X-Shop-Version") != "3" {
		t.Errorf("version %q answers %d, want 3", header.Get("X-Shop-Version"), code)
	}
}

// Nobody but the next deployer with the same state can carry on what a killed
// one left.
func TestTheNextDeployerFinishesWhatAKilledOneLeft(t *testing.T) {
	t.Parallel()
	y := newYard(t, nodeOnly(t), slowly)
	a := y.alone()
	y.next()
	a.deploy().end().expect(t, 0, "", ship.SchemaChanged, 1)
	u := y.users(20)
	for _, step := range []string{"gate once", "migrate", "shift"} {
		y.next()
		killed := a.deploy()
		if !killed.started(step) {
			t.Fatal(killed.end().text)
		}
		y.w.kill(killed.cmd.Process.Pid)
		killed.end()
		y.next()
		a.deploy().end().expect(t, 0, "", ship.SchemaChanged, y.releases)
		y.appliedOnce(y.releases)
		y.gatesOnce(y.releases)
	}
	u.stop()
	db := *y
	db.database = filepath.Join(strings.TrimPrefix(a.state, "file://"), "shiplock.db")
	if bad := db.query("SELECT id || ' ' || status || ': ' || json_extract(result, '$.reason') FROM runs WHERE status <> 'passed'"); len(bad) > 0 {
		t.Errorf("what was left did not pass: %q", bad)
	}
}

// One that was killed and whose environment somebody else has had since ends
// as that, and does not go on where it was.
func TestAKilledDeployerDoesNotGoOnAfterAnotherTookOver(t *testing.T) {
	t.Parallel()
	y := newYard(t, nodeOnly(t), slowly)
	a := y.alone()
	y.next()
	a.deploy().end().expect(t, 0, "", ship.SchemaChanged, 1)
	y.next()
	killed := a.deploy()
	if !killed.started("start") {
		t.Fatal(killed.end().text)
	}
	y.w.kill(killed.cmd.Process.Pid)
	killed.end()
	other := y.another().alone()
	other.next()
	y.w.eventually(time.Minute, "the other deployer takes over", func() error {
		if e := other.deploy().end(); e.code != 0 {
			return fmt.Errorf("exit code %d: %s", e.code, e.Reason)
		}
		return nil
	})
	before := y.state()
	// Any verb takes up what was left, also one that has nothing to do itself.
	_ = a.do("rollback", "production", "--state", a.state)
	// The claim it was granted and gave back has cost an epoch, nothing else.
	_, before, _ = strings.Cut(before, "\n")
	if _, after, _ := strings.Cut(y.state(), "\n"); after != before {
		t.Errorf("the killed one's run changed this:\n%s", cmp.Diff(before, after))
	}
	db := *y
	db.database = filepath.Join(strings.TrimPrefix(a.state, "file://"), "shiplock.db")
	ends := db.query("SELECT status || ' ' || coalesce(json_extract(result, '$.kind'), '') FROM runs ORDER BY seq")
	if want := []string{"passed ", "failed fenced"}; !slices.Equal(ends, want) {
		t.Errorf("its runs ended %q, want %q", ends, want)
	}
}
