package process_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/shiplock/shiplock/internal/node"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

func TestASecondNodeIsToldWhoseTheFolderIs(t *testing.T) {
	m := newMachine(t)
	out, err := exec.Command(testBinary(t), "node", m.dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another node runs here: pid "+strconv.Itoa(m.node.Process.Pid)) {
		t.Errorf("%v: %s", err, out)
	}
}

func TestADamagedStateFileIsRefusedAndKept(t *testing.T) {
	m := newMachine(t)
	m.acquire(t, "run-1")
	m.kill(t)
	path := filepath.Join(m.dir, "state.json")
	good, err := os.ReadFile(path)
	must(t, err)
	for name, bad := range map[string]string{
		"cut short": string(good[:len(good)/2]), "empty": "", "of a later version": `{"version": 99, "environments": {}}`, "of something else": `{}`,
	} {
		must(t, os.WriteFile(path, []byte(bad), 0o600))
		out, err := exec.Command(testBinary(t), "node", m.dir).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "state file") {
			t.Errorf("a state file that is %s: %v: %s", name, err, out)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != bad {
			t.Errorf("a state file that is %s was changed to %q, %v", name, now, err)
		}
	}
	must(t, os.WriteFile(path, good, 0o600))
	m.start(t)
}

func TestA61AnotherLocalUserReachesNeitherSocketNorFiles(t *testing.T) {
	if os.Getuid() != 0 {
		testneed.Missing(t, "root", "run the tests as root")
	}
	m := newMachine(t)
	m.deploy(t, m.acquire(t, "run-1"), 1, ship.Blue, ship.Limits{})
	for path, mode := range map[string]os.FileMode{
		"": 0o700, "node.sock": 0o600, "state.json": 0o600, "artifacts": 0o700, "proxy": 0o700, "apps/shop/production/secrets": 0o700,
		"apps/shop/production/secrets/blue.json": 0o600, "apps/shop/production/logs": 0o700, "apps/shop/production/jobs": 0o700,
	} {
		if info, err := os.Stat(filepath.Join(m.dir, path)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%q: %v, %v, want %s", path, info.Mode(), err, mode)
		}
	}
	// Even where the files would let them, the node does not.
	must(t, os.Chmod(m.dir, 0o755))
	must(t, os.Chmod(node.Socket(m.dir), 0o666))
	self := filepath.Join(filepath.Dir(m.dir), "self")
	data, err := os.ReadFile(testBinary(t))
	must(t, err)
	must(t, os.WriteFile(self, data, 0o755))
	cmd := exec.Command(self, "ask", node.Socket(m.dir))
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 9 || !strings.Contains(string(out), "does not talk to uid 65534") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestA36AReleaseThatWasChangedIsNotStarted(t *testing.T) {
	m := newMachine(t)
	f := m.acquire(t, "run-1")
	s, p := m.prepare(t, 1)
	must(t, os.WriteFile(filepath.Join(p.Dir, "number"), []byte("2"), 0o644))
	mustBe(t, m.Start(t.Context(), f, s, ship.Blue), ship.Failed, "number")
	if o := m.observe(t); o.Known {
		t.Errorf("observed %+v", o)
	}
	m.prepare(t, 1) // makes it anew, since nothing runs from it
	must(t, m.Start(t.Context(), f, s, ship.Blue))
}

func TestA39ARunningReleaseCannotWriteToItsFolder(t *testing.T) {
	if os.Getuid() != 0 {
		testneed.Missing(t, "root", "run the tests as root")
	}
	m := newMachine(t)
	must(t, os.Chmod(filepath.Dir(testBinary(t)), 0o755))
	self := filepath.Join(filepath.Dir(m.dir), "self")
	data, err := os.ReadFile(testBinary(t))
	must(t, err)
	must(t, os.WriteFile(self, data, 0o755))
	m.edit = func(s *platform.Spec) {
		r := &s.Environment.Run
		r.User, r.Shared = "nobody", []string{"media"}
		r.Prepare = []ship.Argv{{"sh", "-c", "id -un > built"}}
		r.Processes = map[string]ship.Process{ship.Web: {Command: ship.Argv{self, "app"}}}
	}
	m.deploy(t, m.acquire(t, "run-1"), 1, ship.Blue, ship.Limits{})
	_, p := m.prepare(t, 1)
	if by, _ := os.ReadFile(filepath.Join(p.Dir, "built")); string(by) != "nobody\n" {
		t.Errorf("it was prepared by %q", by)
	}
	for file, want := range map[string]bool{"number": false, "built": false, "new": false, "media/upload": true, "media/logo": true} {
		_, err := get("http://" + m.listen + "/write?file=" + file)
		if written := err == nil; written != want {
			t.Errorf("writing %s: %v", file, err)
		}
	}
}

func TestAUserWhoCannotReachTheReleaseIsToldWhichFolderIsClosed(t *testing.T) {
	if os.Getuid() != 0 {
		testneed.Missing(t, "root", "run the tests as root")
	}
	m := newMachine(t)
	m.edit = func(s *platform.Spec) { s.Environment.Run.User = "nobody" }
	s := m.spec(t, 1)
	must(t, m.Upload(t.Context(), s.Release.Artifact, bytes.NewReader(m.pack(t, 1).zip)))
	must(t, os.Chmod(filepath.Dir(m.dir), 0o700))
	_, err := m.Prepare(t.Context(), s)
	mustBe(t, err, ship.Failed, filepath.Dir(m.dir)+" is closed to others")
}

func TestSharedFoldersOutliveReleases(t *testing.T) {
	m := newMachine(t)
	m.edit = func(s *platform.Spec) { s.Environment.Run.Shared = []string{"media", "new/uploads"} }
	f := m.acquire(t, "run-1")
	m.deploy(t, f, 1, ship.Blue, ship.Limits{})
	if _, err := get("http://" + m.listen + "/write?file=new/uploads/a"); err != nil {
		t.Error(err)
	}
	_, p := m.prepare(t, 2)
	for _, file := range []string{"media/logo", "new/uploads/a"} {
		if !exists(filepath.Join(p.Dir, file)) {
			t.Errorf("release 2 does not see %s", file)
		}
	}
}

func TestAReleaseIsToldWhatItIs(t *testing.T) {
	m := newMachine(t)
	m.deploy(t, m.acquire(t, "run-1"), 7, ship.Blue, ship.Limits{})
	for name, want := range map[string]string{
		"SHIPLOCK_RELEASE": "7", "SHIPLOCK_SLOT": "blue", "SHIPLOCK_ENVIRONMENT": "production", "SHIPLOCK_APP": "shop",
		"SHIPLOCK_BINARY": testBinary(t), "TICKS": m.ticks,
	} {
		if got, err := get("http://" + m.listen + "/env?name=" + name); err != nil || got != want {
			t.Errorf("%s is %q, %v, want %q", name, got, err, want)
		}
	}
}

func TestAFailedPreparationIsToldAndCanBeTriedAgain(t *testing.T) {
	m := newMachine(t)
	must(t, m.Upload(t.Context(), m.spec(t, 1).Release.Artifact, bytes.NewReader(m.pack(t, 1).zip)))
	allowed := filepath.Join(t.TempDir(), "allowed")
	m.edit = func(s *platform.Spec) {
		s.Environment.Run.Prepare = []ship.Argv{sh("echo built > out"), sh("test -e " + allowed + " || { echo not allowed >&2; exit 7; }")}
	}
	_, err := m.Prepare(t.Context(), m.spec(t, 1))
	mustBe(t, err, ship.Failed, "exit code 7: not allowed")
	must(t, os.WriteFile(allowed, nil, 0o600))
	p, err := m.Prepare(t.Context(), m.spec(t, 1))
	must(t, err)
	if !exists(filepath.Join(p.Dir, "out")) {
		t.Error("the first command was not carried out again")
	}
}

func TestSetupRunsBeforeTheInstancesAndItsFailureStartsNothing(t *testing.T) {
	m := newMachine(t)
	f := m.acquire(t, "run-1")
	good := filepath.Join(t.TempDir(), "good")
	m.edit = func(s *platform.Spec) { s.Environment.Run.Setup = []ship.Argv{sh("cat " + good)} }
	s, _ := m.prepare(t, 1)
	mustBe(t, m.Start(t.Context(), f, s, ship.Blue), ship.Failed, "exit code 1")
	if n := len(m.observe(t).Slots[ship.Blue].Instances); n != 0 {
		t.Errorf("%d instances", n)
	}
	must(t, os.WriteFile(good, nil, 0o600))
	must(t, m.Start(t.Context(), f, s, ship.Blue))
	if i := m.web(t, ship.Blue); i.State != "running" {
		t.Errorf("instance %+v", i)
	}
}

func TestAProgramThatIsNotThereFailsTheStart(t *testing.T) {
	m := newMachine(t)
	m.edit = func(s *platform.Spec) {
		s.Environment.Run.Processes = map[string]ship.Process{ship.Web: {Command: ship.Argv{"no-such-program"}}}
	}
	f := m.acquire(t, "run-1")
	s, _ := m.prepare(t, 1)
	mustBe(t, m.Start(t.Context(), f, s, ship.Blue), ship.Failed, `"no-such-program" is not on PATH`)
	if i := m.web(t, ship.Blue); i.State == "running" {
		t.Errorf("instance %+v", i)
	}
}

func TestAPythonReleaseHasAnEnvironmentOfItsOwn(t *testing.T) {
	testneed.Command(t, "python3", "python3-venv")
	m := newMachine(t)
	m.edit = func(s *platform.Spec) { s.Environment.Run.Python = &ship.Python{Offline: true} }
	s, p := m.prepare(t, 1)
	r, err := m.Run(t.Context(), s, platform.Command{Argv: ship.Argv{"python", "-c", "import sys; print(sys.prefix != sys.base_prefix)"}})
	must(t, err)
	if strings.TrimSpace(string(r.Stdout)) != "True" {
		t.Errorf("result %+v", r)
	}
	if _, next := m.prepare(t, 2); !strings.Contains(next.Took, "again") {
		t.Errorf("%q after %q", next.Took, p.Took)
	}
}

func (m *machine) info(t *testing.T) node.Info {
	t.Helper()
	i, err := m.Info(t.Context())
	must(t, err)
	return i
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func decode(data []byte, v any) error { return json.Unmarshal(data, v) }

func number(t *testing.T, path string) int {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	must(t, err)
	return n
}

func TestAPortThatIsTakenFailsTheStartAndNothingElse(t *testing.T) {
	m := newMachine(t)
	f := m.acquire(t, "run-1")
	m.deploy(t, f, 1, ship.Blue, ship.Limits{})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	m.edit = func(s *platform.Spec) {
		s.Environment.Route.Listen = append(s.Environment.Route.Listen, taken.Addr().String())
	}
	s, _ := m.prepare(t, 2)
	mustBe(t, m.Start(t.Context(), f, s, ship.Green), ship.Failed, taken.Addr().String())
	m.answers(t, "release 1")
	m.edit = nil
	m.deploy(t, f, 2, ship.Green, ship.Limits{})
	m.answers(t, "release 2")
}
