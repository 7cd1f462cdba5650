package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/testneed"
)

// faultyBinary builds the program with its failpoints, once.
var faultyBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(binary), "shiplock-failpoints")
	cmd := exec.Command("go", "build", "-tags", "failpoints", "-o", path, "../cmd/shiplock")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program with failpoints: %w: %s", err, out)
	}
	return path, nil
})

// newFaultyWorld is a machine whose program stops where a test says, and whose
// data lies on a small disk of its own.
func newFaultyWorld(t *testing.T) *world { t.Helper(); return faultyWorld(t, smallDisk) }

// faultyWorld is a machine whose program stops where a test says.
func faultyWorld(t *testing.T, disk func(*testing.T, string)) *world {
	t.Helper()
	built, err := faultyBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "sl-")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, binary: filepath.Join(dir, "shiplock"), data: filepath.Join(dir, "data")}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := errors.Join(os.Link(built, w.binary), os.Mkdir(w.points(), 0o700), os.Mkdir(w.data, 0o700)); err != nil {
		t.Fatal(err)
	}
	if disk != nil {
		disk(t, w.data)
	}
	t.Cleanup(w.stop)
	w.up()
	return w
}

// smallDisk mounts a disk that a test can fill. Who may not mount one has the
// writes fail by failpoints instead, see [world.small].
func smallDisk(t *testing.T, dir string) {
	t.Helper()
	if out, err := exec.Command(testneed.Command(t, "mount", "mount"), "-t", "tmpfs", "-o", "size=192m,mode=700", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Logf("a full disk is played by failpoints: mount a tmpfs: %v: %s", err, out)
		return
	}
	t.Cleanup(func() {
		if err := exec.Command("umount", "-l", dir).Run(); err != nil {
			t.Errorf("umount %s: %v", dir, err)
		}
	})
}

// small tells whether the data lies on a disk of its own.
func (w *world) small() bool {
	w.t.Helper()
	var own, around syscall.Stat_t
	if err := errors.Join(syscall.Stat(w.data, &own), syscall.Stat(filepath.Dir(w.data), &around)); err != nil {
		w.t.Fatal(err)
	}
	return own.Dev != around.Dev
}

// writes are the places that a full disk is met at, where it is only played.
var writes = []string{"store intent", "store commit", "store status", "write state.json", "write backup", "unpack"}

// points is the folder that says where the program stops, and why.
func (w *world) points() string { return w.binary + ".failpoints" }

// arm has a point act.
func (w *world) arm(point, action string) {
	w.t.Helper()
	tmp := filepath.Join(w.points(), "."+point)
	if err := errors.Join(os.WriteFile(tmp, []byte(action), 0o600), os.Rename(tmp, filepath.Join(w.points(), point))); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) has(file string) bool {
	_, err := os.Stat(filepath.Join(w.points(), file))
	return err == nil
}

// disarm makes every point harmless again.
func (w *world) disarm() {
	w.t.Helper()
	if err := errors.Join(os.RemoveAll(w.points()), os.Mkdir(w.points(), 0o700)); err != nil {
		w.t.Fatal(err)
	}
}

// A fault is what goes wrong while a run stands at a point.
type fault struct {
	name  string
	kills bool          // the point itself ends the server
	lasts time.Duration // at the longest; the run may end before
	begin func(*attempt)
	end   func(*attempt)
}

// longHang is longer than a candidate has to become healthy.
const longHang = 8 * time.Second

var faults = []fault{
	{name: "kill server", kills: true, begin: func(a *attempt) { _ = a.y.w.server.Wait(); a.y.w.up() }},
	{name: "kill worker", begin: func(a *attempt) { a.killed("reset", "closed", "cut")(a.y.w.nodeInfo().Worker) }},
	{name: "kill node", begin: (*attempt).killNode},
	{name: "kill supervisor", begin: func(a *attempt) { a.y.w.killNode() }},
	{name: "disk full", lasts: 2 * time.Second, begin: (*attempt).fillDisk, end: (*attempt).emptyDisk},
	{name: "fsync error", begin: func(a *attempt) {
		for _, point := range []string{"store intent", "store commit", "store status", "sync state.json"} {
			a.y.w.arm(point, "EIO")
		}
	}},
	{name: "database gone", lasts: 1500 * time.Millisecond, begin: (*attempt).hideDatabase, end: (*attempt).showDatabase},
	{name: "application hangs", lasts: longHang, begin: (*attempt).hang, end: (*attempt).wake},
	{name: "clock jumps", lasts: time.Minute, begin: (*attempt).jump, end: func(a *attempt) { _ = os.Remove(filepath.Join(a.y.w.points(), "clock")) }},
}

// killed returns a function that kills a process and excuses the requests that
// were under way at that moment and ended in one of the classes.
func (a *attempt) killed(classes ...string) func(pid int) {
	return func(pid int) {
		from := time.Now()
		a.y.w.kill(pid)
		a.excuse(from, time.Now(), classes...)
	}
}

// killNode kills all of the data plane: nobody is there to take a connection
// until the server has started it again.
func (a *attempt) killNode() {
	info := a.y.w.nodeInfo()
	from := time.Now()
	a.y.w.kill(info.PID)
	a.y.w.kill(info.Worker)
	a.y.w.eventually(time.Minute, "the node is back", func() error {
		if now := a.y.w.nodeInfo(); now.PID == info.PID || now.Worker == info.Worker {
			return errors.New("it is the old one")
		}
		return nil
	})
	a.excuse(from, time.Now(), "refused", "reset", "closed", "cut")
}

func (a *attempt) fillDisk() { a.y.t.Helper(); a.y.w.fillDisk() }

func (a *attempt) emptyDisk() { a.y.t.Helper(); a.y.w.emptyDisk() }

func (w *world) ballast() string { return filepath.Join(w.data, "ballast") }

func (w *world) fillDisk() {
	w.t.Helper()
	if !w.small() {
		for _, point := range writes {
			w.arm(point, "ENOSPC always")
		}
		return
	}
	f, err := os.Create(w.ballast())
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size >= 512; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		w.t.Fatalf("fill the disk: %v", err)
	}
}

func (w *world) emptyDisk() {
	w.t.Helper()
	if w.small() {
		if err := os.Remove(w.ballast()); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	for _, point := range writes {
		if err := os.Remove(filepath.Join(w.points(), point)); err != nil && !errors.Is(err, os.ErrNotExist) {
			w.t.Fatal(err)
		}
	}
}

var databaseFiles = []string{"", "-wal", "-shm"}

// hideDatabase takes the database away from everybody who has not yet opened it.
func (a *attempt) hideDatabase() {
	a.since = time.Now()
	for _, suffix := range databaseFiles {
		if err := os.Rename(a.y.database+suffix, a.y.database+".away"+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			a.y.t.Fatal(err)
		}
	}
}

func (a *attempt) showDatabase() {
	for _, suffix := range databaseFiles {
		if _, err := os.Stat(a.y.database + suffix); err == nil {
			a.complain("somebody made a new database while the old one was away: %s", a.y.database+suffix)
		}
		if err := os.Rename(a.y.database+".away"+suffix, a.y.database+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			a.y.t.Fatal(err)
		}
	}
	a.excuse(a.since, time.Now().Add(time.Second), "500")
}

// hang stops the candidate in its tracks or, before it was started, what serves.
func (a *attempt) hang() {
	var candidate, serving []int
	st := a.y.status()
	for name, slot := range st.Observed.Slots {
		for _, i := range slot.Instances {
			switch {
			case i.PID == 0 || i.State != "running":
			case slot.Run == a.run():
				candidate = append(candidate, i.PID)
			case name == st.Observed.Active:
				serving = append(serving, i.PID)
			}
		}
	}
	if a.stopped = candidate; len(candidate) == 0 {
		a.stopped, a.briefly = serving, true
	}
	if len(a.stopped) == 0 {
		a.complain("there is nothing that could hang")
	}
	for _, pid := range a.stopped {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			a.complain("stop %d: %v", pid, err)
		}
	}
}

func (a *attempt) wake() {
	for _, pid := range a.stopped {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
			a.complain("continue %d: %v", pid, err)
		}
	}
}

// jump moves the clock by two hours, forward and back in turn.
func (a *attempt) jump() {
	by := "2h"
	if a.y.releases%2 == 0 {
		by = "-2h"
	}
	a.y.w.arm("clock", by)
}

// Nobody is there to end the hold, and the node cannot write that it does: the
// people who wait are let go all the same, and it is written later.
func TestAHoldEndsInTimeAlthoughTheDiskIsFull(t *testing.T) {
	t.Parallel()
	w := newFaultyWorld(t)
	y := newYard(t, w, quick)
	y.next()
	y.do("deploy", "production", "--wait=watched").expectPassed(t)
	y.breaking()
	y.change("shiplock.yaml", "hold: 20s", "hold: 4s")
	w.arm("hold after-done", "kill")
	u := y.users(20)
	l := y.live("deploy", "production", "--wait=watched", "--accept", "hold")
	_ = w.server.Wait() // at the failpoint
	w.fillDisk()
	begun := time.Now()
	code, _, body := y.get("/products")
	if took := time.Since(begun); code != 200 || took > 30*time.Second {
		t.Errorf("who was held got %d after %s: %s", code, took, body)
	}
	state := func() string {
		b, err := os.ReadFile(filepath.Join(w.data, "node", "state.json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if !strings.Contains(state(), `"mode": "holding"`) {
		t.Error("the end of the hold was written to a full disk")
	}
	w.emptyDisk()
	w.eventually(time.Minute, "what is owed to the disk is written", func() error {
		if strings.Contains(state(), `"mode": "holding"`) {
			return errors.New("it is not yet")
		}
		return nil
	})
	w.up()
	if e := l.end(); e.Status != "passed" && e.Serving != 1 {
		t.Errorf("it ended %s: %s", e.Status, e.Reason)
	}
	u.stop()
}

// The shipped program cannot be made to fail.
func TestFailpointsAreNotInTheShippedProgram(t *testing.T) {
	built, err := faultyBinary()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{built: true, binary: false} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(b), ".failpoints"); got != want {
			t.Errorf("%s knows of failpoints: %t, want %t", filepath.Base(path), got, want)
		}
	}
}
