package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/node"
	"github.com/shiplock/shiplock/internal/ship"
)

// newBinary is the program in another version.
var newBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(binary), "shiplock-new")
	cmd := exec.Command("go", "build", "-ldflags=-X github.com/shiplock/shiplock/internal/cli.linked=v99.0.0", "-o", path, "../cmd/shiplock")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build shiplock: %w: %s", err, out)
	}
	return path, nil
})

// other returns the program in another version than the one that runs.
func other(t *testing.T) string {
	t.Helper()
	path, err := newBinary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// deployed is a street that serves in a new world.
func deployed(t *testing.T, watch string) (*world, *project) {
	t.Helper()
	w := newWorld(t)
	p := w.street(watch)
	p.do("deploy", "production").expect(t, 0, "", ship.SchemaUnchanged, 1)
	return w, p
}

// instances are the process ids of all instances, by name.
func (p *project) instances() map[string]int {
	p.w.t.Helper()
	all := map[string]int{}
	for _, s := range p.status().Observed.Slots {
		for _, i := range s.Instances {
			all[i.ID] = i.PID
		}
	}
	return all
}

func (p *project) get1(path string) string {
	p.w.t.Helper()
	_, _, body := p.get(path)
	return body
}

func (w *world) upgrade(program string) (string, int) {
	w.t.Helper()
	return w.run("node", "upgrade", "--binary", program, "--data", w.data)
}

func TestANodeIsUpgradedUnderLoadAndNothingIsLost(t *testing.T) {
	t.Parallel()
	program := other(t)
	w, p := deployed(t, "1s")
	before, pids := w.nodeInfo(), p.instances()
	streams := []*stream{p.stream("events"), p.stream("socket"), p.stream("events"), p.stream("socket")}
	c := p.crowd(8)
	for i, s := range streams {
		s.goesOn(t, fmt.Sprintf("stream %d before", i))
	}

	out, code := w.upgrade(program)
	if code != 0 || !strings.Contains(out, "kept its process id") || !strings.Contains(out, "4 streams") {
		t.Fatalf("exit code %d: %s", code, out)
	}
	after := w.nodeInfo()
	if after.PID != before.PID || after.Worker == before.Worker || after.Version != "v99.0.0" {
		t.Errorf("the node was %+v and is %+v", before, after)
	}
	if after.Upgrade == nil || after.Upgrade.Stage != node.UpgradeDone || after.Upgrade.LongLived != 4 || !slices.Contains(after.Leaving, before.Worker) {
		t.Errorf("upgrade %+v, leaving %v", after.Upgrade, after.Leaving)
	}
	for i, s := range streams {
		s.goesOn(t, fmt.Sprintf("stream %d after", i))
	}
	late := p.stream("events")
	late.goesOn(t, "a new stream")
	if got := p.instances(); fmt.Sprint(got) != fmt.Sprint(pids) {
		t.Errorf("instances were %v and are %v", pids, got)
	}
	for _, s := range append(streams, late) {
		_ = s.close()
	}
	// The old worker is still there when the next release comes, and when the
	// node is upgraded again.
	p.write("VERSION", "2\n", 0o644)
	p.do("deploy", "production", "--wait=watched").expect(t, 0, "", ship.SchemaUnchanged, 2)
	if out, code := w.upgrade(binary); code != 0 {
		t.Fatalf("back: exit code %d: %s", code, out)
	}
	c.end(0)
	if got := w.nodeInfo(); got.PID != before.PID || got.Version != before.Version {
		t.Errorf("back at %+v, was %+v", got, before)
	}

	// The successor is the parent of what its predecessor started.
	if _, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/exit", p.port), "", nil); err != nil {
		t.Fatal(err)
	}
	w.eventually(10*time.Second, "the exit code is known", func() error {
		st := p.status().Observed
		for _, i := range st.Slots[st.Active].Instances {
			if i.Exit == "exit code 7" {
				return nil
			}
		}
		return fmt.Errorf("%+v", st.Slots[st.Active].Instances)
	})
}

func TestOrdersAreTakenOnceThroughAnUpgrade(t *testing.T) {
	t.Parallel()
	program := other(t)
	w, p := deployed(t, "1s")
	c := p.crowd(8)
	for _, program := range []string{program, binary, program} {
		if out, code := w.upgrade(program); code != 0 {
			t.Fatalf("exit code %d: %s", code, out)
		}
	}
	c.end(0)
	if got, want := p.get1("/orders"), fmt.Sprintf("%d 0", c.posts.Load()); got != want {
		t.Errorf("orders and those taken twice: %s, want %s", got, want)
	}
}

// fake writes a program that does what the real one does, but for one verb.
func fake(t *testing.T, real, verb, instead string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fake")
	text := fmt.Sprintf("#!/bin/sh\nif [ \"$2\" = %s ]; then\n%s\nfi\nexec %s \"$@\"\n", verb, instead, real)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAProgramThatIsNoGoodIsNotTaken(t *testing.T) {
	t.Parallel()
	real := other(t)
	w, p := deployed(t, "1s")
	before := w.nodeInfo()
	c := p.crowd(4)
	s := p.stream("socket")
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct{ program, says string }{
		{filepath.Join(t.TempDir(), "missing"), "no such file"},
		{plain, "not executable"},
		{"/bin/true", "is it shiplock?"},
		{"/bin/false", "exit status 1"},
		{fake(t, real, "check", "echo 'cannot read it' >&2; exit 3"), "cannot read it"},
		{fake(t, real, "worker", "exit 1"), "the old one goes on"},
	} {
		out, code := w.upgrade(bad.program)
		if code != 3 || !strings.Contains(out, bad.says) {
			t.Errorf("%s: exit code %d: %s", bad.program, code, out)
		}
		if now := w.nodeInfo(); now.PID != before.PID || now.Worker != before.Worker || now.Version != before.Version {
			t.Errorf("%s: the node was %+v and is %+v", bad.program, before, now)
		}
	}
	s.goesOn(t, "the socket")
	c.end(0)
}

func TestASupervisorThatDoesNotComeUpGoesBackOrIsStartedAnew(t *testing.T) {
	t.Parallel()
	real := other(t)
	w, p := deployed(t, "1s")
	before, pids := w.nodeInfo(), p.instances()
	c := p.crowd(4)
	s := p.stream("socket")
	// Its state cannot be read: it goes back to the program that handed over.
	bad := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(bad, "node"), 0o700), os.WriteFile(filepath.Join(bad, "node", "state.json"), []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	out, code := w.upgrade(fake(t, real, "run", fmt.Sprintf(`for last; do :; done; exec %s node run --data %s "$last"`, real, bad)))
	if code != 3 || !strings.Contains(out, "did not come up") || !strings.Contains(out, "stays version v99.0.0 and serves") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if now := w.nodeInfo(); now.PID != before.PID || now.Version != before.Version {
		t.Errorf("the node was %+v and is %+v", before, now)
	}
	s.goesOn(t, "the socket after going back")

	// It ends at once: somebody starts another one.
	out, code = w.upgrade(fake(t, real, "run", "exit 1"))
	if code != 3 || !strings.Contains(out, "started anew is version") {
		t.Errorf("exit code %d: %s", code, out)
	}
	s.goesOn(t, "the socket after it was started anew")
	if got := p.instances(); fmt.Sprint(got) != fmt.Sprint(pids) {
		t.Errorf("instances were %v and are %v", pids, got)
	}
	c.end(0)
}

// The supervisor is killed at different moments of an upgrade: whatever is
// then, requests are answered, and there is one worker that routes.
func TestAKilledSupervisorLosesNothingInTheMiddleOfAnUpgrade(t *testing.T) {
	t.Parallel()
	program := other(t)
	w, p := deployed(t, "1s")
	pids := p.instances()
	c := p.crowd(8)
	s := p.stream("events")
	for i, after := range []time.Duration{5, 30, 60, 90, 120, 150, 200, 300} {
		pid := w.nodeInfo().PID
		up := exec.Command(binary, "node", "upgrade", "--binary", program, "--data", w.data)
		if err := up.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after * time.Millisecond)
		w.kill(pid)
		_ = up.Wait() // either end may be
		info := w.nodeInfo()
		w.eventually(10*time.Second, "the upgrade has an end", func() error {
			info = w.nodeInfo()
			if u := info.Upgrade; u != nil && u.Stage != node.UpgradeDone && u.Stage != node.UpgradeFailed {
				return errors.New(u.Stage)
			}
			return nil
		})
		if got := p.instances(); fmt.Sprint(got) != fmt.Sprint(pids) {
			t.Fatalf("kill %d: instances were %v and are %v", i, pids, got)
		}
	}
	s.goesOn(t, "the stream")
	// No worker is left that would route by an older table.
	p.write("VERSION", "2\n", 0o644)
	p.do("deploy", "production", "--wait=watched").expect(t, 0, "", ship.SchemaUnchanged, 2)
	st := p.status().Observed
	for _, i := range st.Slots[st.Active].Instances {
		for range 20 {
			if got := p.get1("/"); got != fmt.Sprint(i.PID) {
				t.Errorf("instance %s answers, want %d", got, i.PID)
			}
		}
	}
	c.end(0)
}

func TestAKilledNewWorkerDoesNotEndTheUpgradeBadly(t *testing.T) {
	t.Parallel()
	program := other(t)
	w, p := deployed(t, "1s")
	before := w.nodeInfo()
	c := p.crowd(4)
	up := exec.Command(binary, "node", "upgrade", "--binary", program, "--data", w.data)
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	var fresh int
	w.eventually(10*time.Second, "a new worker is there", func() error {
		all, err := filepath.Glob(filepath.Join(w.data, "node", "proxy", "worker-*.sock"))
		for _, path := range all {
			var pid int
			if _, err := fmt.Sscanf(filepath.Base(path), "worker-%d.sock", &pid); err == nil && pid != before.Worker {
				fresh = pid
				return nil
			}
		}
		return errors.Join(err, errors.New("not yet"))
	})
	w.kill(fresh)
	_ = up.Wait() // it fails when the worker was killed before it took over
	w.eventually(10*time.Second, "requests are answered by a living worker", func() error {
		if now := w.nodeInfo(); now.Worker == fresh {
			return errors.New("the killed one is still named")
		}
		_, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", p.port))
		return err
	})
	c.end(4) // what was under way at the one that was killed
}

func TestAWatchGoesOnThroughAnUpgrade(t *testing.T) {
	t.Parallel()
	program := other(t)
	w, p := deployed(t, "2m")
	c := p.crowd(4)
	p.write("VERSION", "2\n", 0o644)
	live := p.live("deploy", "production", "--wait=watched")
	if !live.started("watch") {
		t.Fatal(live.end().text)
	}
	if out, code := w.upgrade(program); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	time.Sleep(300 * time.Millisecond) // more evidence
	if _, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/break", p.port), "", nil); err != nil {
		t.Fatal(err)
	}
	e := live.end()
	if e.code != 4 || e.Serving != 1 {
		t.Errorf("exit code %d, v%d serves: %s\n%s", e.code, e.Serving, e.Reason, tail(e.text, 2000))
	}
	t.Log(e.Reason)
	close(c.stop)
	c.all.Wait()
	info := w.nodeInfo()
	if info.Upgrade == nil || info.Upgrade.Stage != node.UpgradeDone {
		data, _ := json.Marshal(info)
		t.Errorf("the node says %s", data)
	}
}
