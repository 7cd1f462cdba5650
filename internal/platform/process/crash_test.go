package process_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

func sh(script string) ship.Argv { return ship.Argv{"sh", "-c", strings.ReplaceAll(script, "$", "$$")} }

func TestTrafficAndInstancesSurviveTheNode(t *testing.T) {
	m := newMachine(t)
	f := m.acquire(t, "run-1")
	m.deploy(t, f, 1, ship.Blue, ship.Limits{})
	before, info := m.observe(t), m.info(t)
	end := load(t, "http://"+m.listen+"/", true)
	for range 2 {
		m.kill(t)
		m.answers(t, "release 1")
		m.start(t)
	}
	after := m.observe(t)
	if n, err := end(); err != nil || n == 0 {
		t.Errorf("%d requests, the first that failed: %v", n, err)
	}
	if m.info(t).Worker != info.Worker {
		t.Errorf("the proxy worker is %d, it was %d", m.info(t).Worker, info.Worker)
	}
	for i, in := range before.Slots[ship.Blue].Instances {
		if now := after.Slots[ship.Blue].Instances[i]; now.PID != in.PID || now.State != "running" || now.Restarts != 0 {
			t.Errorf("instance %+v became %+v", in, now)
		}
	}
	if after.Epoch != f.Epoch || after.Holder == nil || after.Active != ship.Blue {
		t.Errorf("after the crash: %+v", after)
	}
	m.deploy(t, f, 2, ship.Green, ship.Limits{})
	m.answers(t, "release 2")
}

func TestAnInstanceThatWasTakenBackIsStillLookedAfter(t *testing.T) {
	m := newMachine(t)
	f := m.acquire(t, "run-1")
	m.deploy(t, f, 1, ship.Blue, ship.Limits{})
	m.kill(t)
	m.start(t)
	old := m.web(t, ship.Blue)
	must(t, syscall.Kill(old.PID, syscall.SIGKILL))
	eventually(t, "the instance is started again", func() bool {
		now := m.web(t, ship.Blue)
		return now.State == "running" && now.PID != old.PID && now.Restarts == 1 && strings.Contains(now.Exit, "unknown")
	})
	// One that ends while no node is there is noticed by the next.
	old = m.web(t, ship.Blue)
	m.kill(t)
	must(t, syscall.Kill(old.PID, syscall.SIGKILL))
	m.start(t)
	eventually(t, "the instance is started again", func() bool {
		now := m.web(t, ship.Blue)
		return now.State == "running" && now.PID != old.PID && now.Restarts == 2
	})
	last := m.web(t, ship.Blue).PID
	must(t, m.Stop(t.Context(), f, shop, ship.Blue))
	if i := m.web(t, ship.Blue); i.State != "stopped" || alive(last) {
		t.Errorf("after a stop: %+v", i)
	}
}

func TestADeadProxyWorkerIsReplacedOnTheSameSockets(t *testing.T) {
	m := newMachine(t)
	m.deploy(t, m.acquire(t, "run-1"), 1, ship.Blue, ship.Limits{})
	old := m.info(t).Worker
	must(t, syscall.Kill(old, syscall.SIGKILL))
	m.answers(t, "release 1") // it waits in the backlog, it is not refused
	eventually(t, "another worker is there", func() bool { w := m.info(t).Worker; return w != 0 && w != old })
	m.answers(t, "release 1")
}

func TestNodeAndWorkerMayDieTogether(t *testing.T) {
	m := newMachine(t)
	m.deploy(t, m.acquire(t, "run-1"), 1, ship.Blue, ship.Limits{})
	worker, pid := m.info(t).Worker, m.web(t, ship.Blue).PID
	m.kill(t)
	must(t, syscall.Kill(worker, syscall.SIGKILL))
	m.start(t)
	m.answers(t, "release 1")
	if now := m.web(t, ship.Blue).PID; now != pid {
		t.Errorf("the instance was %d and is %d", pid, now)
	}
}

func TestAWatchGoesOnWithoutServerAndAcrossACrash(t *testing.T) {
	m := newMachine(t)
	m.deploy(t, m.acquire(t, "run-1"), 1, ship.Blue, ship.Limits{})
	f := m.acquire(t, "run-1")
	m.deploy(t, f, 2, ship.Green, ship.Limits{For: time.Minute})
	m.kill(t)
	must(t, syscall.Kill(pidIn(t, m, "green.web.1"), syscall.SIGKILL))
	m.start(t)
	eventually(t, "traffic is given back", func() bool { return m.observe(t).Watch.Back })
	m.answers(t, "release 1")
	mustBe(t, m.Shift(t.Context(), f, shop, platform.Shift{To: ship.Green}), ship.RolledBack, "was taken back")
	m.kill(t)
	m.start(t)
	mustBe(t, m.Shift(t.Context(), f, shop, platform.Shift{To: ship.Green}), ship.RolledBack, "was taken back")
}

// pidIn reads an instance's pid from the state file, when no node is there to
// be asked.
func pidIn(t *testing.T, m *machine, id string) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(m.dir, "state.json"))
	must(t, err)
	var s struct {
		Environments map[string]struct {
			Slots map[string]struct {
				Instances map[string]struct{ PID int }
			}
		}
	}
	must(t, decode(data, &s))
	for _, slot := range s.Environments[shop.String()].Slots {
		if i, ok := slot.Instances[id]; ok && i.PID != 0 {
			return i.PID
		}
	}
	t.Fatalf("no instance %s in %s", id, data)
	return 0
}

func TestAHoldEndsOnTimeAcrossACrash(t *testing.T) {
	m := newMachine(t)
	f := m.acquire(t, "run-1")
	m.deploy(t, f, 1, ship.Blue, ship.Limits{})
	must(t, m.SetMode(t.Context(), f, shop, platform.ModeChange{Mode: ship.Holding, For: 500 * time.Millisecond}))
	m.kill(t)
	m.start(t)
	m.answers(t, "release 1")
	eventually(t, "the hold is over", func() bool { return m.observe(t).Mode == ship.Serving })
}

func TestANamedCommandOutlivesTheNode(t *testing.T) {
	m := newMachine(t)
	f := m.acquire(t, "run-1")
	s, p := m.prepare(t, 1)
	c := platform.Command{Name: "migrate", Argv: sh("echo ran >> ran; until test -e go; do sleep 0.05; done; echo done; exit 5"), Fence: &f}
	var wg sync.WaitGroup
	wg.Go(func() {
		// The call is cut by the crash and made again by itself.
		r, err := m.Run(t.Context(), s, c)
		if err != nil || r.Code != 5 || r.Unknown || string(r.Stdout) != "done\n" {
			t.Errorf("result %+v, %v", r, err)
		}
	})
	eventually(t, "the command runs", func() bool { return exists(filepath.Join(p.Dir, "ran")) })
	m.kill(t)
	m.start(t)
	must(t, os.WriteFile(filepath.Join(p.Dir, "go"), nil, 0o600))
	wg.Wait()
	if text, _ := os.ReadFile(filepath.Join(p.Dir, "ran")); string(text) != "ran\n" {
		t.Errorf("it ran %q", text)
	}
	again := m.acquire(t, "run-1")
	if again != f {
		t.Errorf("the run's fence was %+v and is %+v", f, again)
	}
}

func TestACommandNobodyAsksForAnyMoreIsEndedByTheNextNode(t *testing.T) {
	m := newMachine(t)
	s, p := m.prepare(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := m.Run(ctx, s, platform.Command{Argv: sh("echo $$ > pid; exec sleep 600")}); err == nil {
			t.Error("a command without a name ended well, and its node was killed")
		}
	})
	eventually(t, "the command runs", func() bool { text, _ := os.ReadFile(filepath.Join(p.Dir, "pid")); return len(text) > 0 })
	pid := number(t, filepath.Join(p.Dir, "pid"))
	m.kill(t)
	cancel()
	wg.Wait()
	if !alive(pid) {
		t.Fatal("it ended with its node: this test shows nothing")
	}
	m.start(t)
	eventually(t, "it is ended", func() bool { return !alive(pid) })
}

func TestACommandWhoseKeeperDiedIsUnknownOnceNothingOfItIsLeft(t *testing.T) {
	m := newMachine(t)
	f := m.acquire(t, "run-1")
	s, p := m.prepare(t, 1)
	c := platform.Command{Name: "migrate", Argv: sh("echo $$ > pid; cut -d' ' -f4 /proc/$$/stat > keeper; until test -e go; do sleep 0.05; done"), Fence: &f}
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := m.Run(short, s, c); err == nil {
		t.Fatal("the command ended")
	}
	keeper := number(t, filepath.Join(p.Dir, "keeper"))
	must(t, syscall.Kill(keeper, syscall.SIGKILL))
	shorter, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if r, err := m.Run(shorter, s, c); err == nil {
		t.Fatalf("the command lives on and is reported as %+v", r)
	}
	must(t, os.WriteFile(filepath.Join(p.Dir, "go"), nil, 0o600))
	r, err := m.Run(t.Context(), s, c)
	must(t, err)
	if !r.Unknown || r.Code != -1 {
		t.Errorf("result %+v", r)
	}
}

func TestAPausedDeployerThatResumesIsRefused(t *testing.T) {
	m := newMachine(t)
	s, p := m.prepare(t, 1)
	old, err := m.Acquire(t.Context(), shop, ship.Claim{Run: "run-1", Holder: "ada", Reason: "deploy", TTL: time.Millisecond})
	must(t, err)
	eventually(t, "the grant lapses", func() bool {
		_, err := m.Acquire(t.Context(), shop, ship.Claim{Run: "run-2", Holder: "bob", Reason: "deploy", TTL: time.Minute})
		return err == nil
	})
	_, err = m.Run(t.Context(), s, platform.Command{Name: "migrate", Argv: sh("touch migrated"), Fence: &old})
	mustBe(t, err, ship.Fenced, "run-2")
	mustBe(t, m.Start(t.Context(), old, s, ship.Blue), ship.Fenced, "run-2")
	if exists(filepath.Join(p.Dir, "migrated")) {
		t.Error("the command ran")
	}
}
