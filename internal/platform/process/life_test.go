package process_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestTheInstanceIsTheServerItself(t *testing.T) {
	m := newMachine(t)
	m.deploy(t, m.acquire(t, "run-1"), 1, ship.Blue, ship.Limits{})
	if pid, err := get("http://" + m.listen + "/pid"); err != nil || pid != strconv.Itoa(m.web(t, ship.Blue).PID) {
		t.Errorf("the server is %s, %v, the instance %+v", pid, err, m.web(t, ship.Blue))
	}
}

func TestAnExitIsToldWithHow(t *testing.T) {
	m := newMachine(t)
	m.deploy(t, m.acquire(t, "run-1"), 1, ship.Blue, ship.Limits{})
	for signal, want := range map[syscall.Signal]string{
		syscall.SIGKILL: "killed by SIGKILL", syscall.SIGABRT: "exit code 2",
	} {
		eventually(t, "the instance runs", func() bool {
			_, err := get("http://" + m.web(t, ship.Blue).Address + "/healthz")
			return err == nil
		})
		before := m.web(t, ship.Blue)
		must(t, syscall.Kill(before.PID, signal))
		eventually(t, "the exit is told", func() bool {
			now := m.web(t, ship.Blue)
			return now.Restarts == before.Restarts+1 && strings.Contains(now.Exit, want)
		})
	}
}

func TestARefusedHealthCheckTakesAReleaseBack(t *testing.T) {
	m := newMachine(t)
	f := m.acquire(t, "run-1")
	m.deploy(t, f, 1, ship.Blue, ship.Limits{})
	must(t, m.Release(t.Context(), shop, f))
	m.deploy(t, m.acquire(t, "run-2"), 2, ship.Green, ship.Limits{For: time.Minute})
	if _, err := get("http://" + m.web(t, ship.Green).Address + "/sicken"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "traffic is given back", func() bool { return m.observe(t).Watch.Back })
	if why := m.observe(t).Watch.Verdict.Reason; !strings.Contains(why, "health checks failed on v2") || !strings.Contains(why, "503") {
		t.Errorf("the reason is %q", why)
	}
	m.answers(t, "release 1")
}

func TestAWatchThatPassesSaysWhatItSaw(t *testing.T) {
	m := newMachine(t)
	f := m.acquire(t, "run-1")
	m.deploy(t, f, 1, ship.Blue, ship.Limits{})
	must(t, m.Release(t.Context(), shop, f))
	m.deploy(t, m.acquire(t, "run-2"), 2, ship.Green, ship.Limits{For: time.Second, ErrorRate: 0.2})
	for range 25 {
		m.answers(t, "release 2")
	}
	eventually(t, "the watch ends", func() bool { return m.observe(t).Watch.Verdict.Outcome != ship.Wait })
	w := m.observe(t).Watch
	if w.Verdict.Outcome != ship.Pass || w.Back || !strings.Contains(w.Verdict.Reason, "0 of 25 requests failed (0 %), limit 20 %") {
		t.Errorf("watch %+v", w)
	}
}

func TestOnlyOneOfManyGetsTheEnvironment(t *testing.T) {
	m := newMachine(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[string]ship.Fence{}
	for i := range 10 {
		wg.Go(func() {
			run := "run-" + strconv.Itoa(i)
			f, err := m.Acquire(t.Context(), shop, ship.Claim{Run: run, Holder: "ada", Reason: "deploy", TTL: time.Minute})
			if err != nil {
				if ship.KindOf(err) != ship.Locked {
					t.Error(err)
				}
				return
			}
			mu.Lock()
			defer mu.Unlock()
			got[run] = f
		})
	}
	wg.Wait()
	if len(got) != 1 {
		t.Errorf("granted to %v", got)
	}
}

func TestANodeThatIsStoppedLeavesTheInstancesRunning(t *testing.T) {
	m := newMachine(t)
	m.deploy(t, m.acquire(t, "run-1"), 1, ship.Blue, ship.Limits{})
	pid := m.web(t, ship.Blue).PID
	must(t, m.node.Process.Signal(syscall.SIGTERM))
	if err := m.node.Wait(); err != nil {
		t.Errorf("the node ended with %v", err)
	}
	m.answers(t, "release 1")
	m.start(t)
	if now := m.web(t, ship.Blue); now.PID != pid || now.Restarts != 0 {
		t.Errorf("instance %+v, it was %d", now, pid)
	}
}

func TestAShutDownEndsEverythingAndTheNextNodeStartsItAgain(t *testing.T) {
	m := newMachine(t)
	m.deploy(t, m.acquire(t, "run-1"), 1, ship.Blue, ship.Limits{})
	pid, worker := m.web(t, ship.Blue).PID, m.info(t).Worker
	must(t, m.Shutdown(t.Context()))
	if err := m.node.Wait(); err != nil {
		t.Errorf("the node ended with %v", err)
	}
	if alive(pid) && !zombie(pid) || alive(worker) && !zombie(worker) {
		t.Errorf("instance %d or worker %d is left", pid, worker)
	}
	m.start(t)
	eventually(t, "the release answers again", func() bool {
		body, err := get("http://" + m.listen + "/")
		return err == nil && body == "release 1"
	})
}

func TestALogIsKeptWithinItsBoundAndLosesNoLine(t *testing.T) {
	m := newMachine(t)
	m.deploy(t, m.acquire(t, "run-1"), 1, ship.Blue, ship.Limits{})
	if _, err := get("http://" + m.listen + "/shout"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(m.dir, "apps/shop/production/logs/blue.web.1.log")
	eventually(t, "the log is cut", func() bool {
		info, err := os.Stat(path)
		return err == nil && info.Size() < 16<<20
	})
	if _, err := get("http://" + m.listen + "/env?name=x"); err != nil {
		t.Error(err)
	}
	var out bytes.Buffer
	must(t, m.Logs(t.Context(), shop, platform.LogQuery{Lines: 1, Process: ship.Web}, &out))
	if out.String() != "web.1 | shouted\n" {
		t.Errorf("the last line is %q", out.String())
	}
}

func TestOldReleasesAreRemovedAndThoseInSlotsStay(t *testing.T) {
	m := newMachine(t)
	f := m.acquire(t, "run-1")
	m.deploy(t, f, 1, ship.Blue, ship.Limits{})
	dirs := []string{}
	for n := 1; n <= 8; n++ {
		_, p := m.prepare(t, n)
		dirs = append(dirs, p.Dir)
	}
	// Nobody waits for it when a release is prepared.
	eventually(t, "what is old is removed", func() bool { return !exists(dirs[1]) && !exists(dirs[2]) })
	for i, want := range []bool{true, false, false, true, true, true, true, true} {
		if got := exists(dirs[i]); got != want {
			t.Errorf("release %d is there: %v", i+1, got)
		}
	}
}

func TestAStaleRequirementsFileIsNotServedFromTheCache(t *testing.T) {
	m := newMachine(t)
	s := ship.Python{Requirements: "number", Offline: true} // a file that holds no valid requirement
	m.edit = func(spec *platform.Spec) { spec.Environment.Run.Python = &s }
	spec := m.spec(t, 1)
	must(t, m.Upload(t.Context(), spec.Release.Artifact, bytes.NewReader(m.pack(t, 1).zip)))
	_, err := m.Prepare(t.Context(), spec)
	mustBe(t, err, ship.Failed, "pip install")
	if left, _ := filepath.Glob(filepath.Join(m.dir, "apps/shop/production/venvs/*")); len(left) != 0 {
		t.Errorf("a virtual environment that is not complete is left: %v", left)
	}
}

// zombie tells whether a process is gone and only not yet looked after.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}
