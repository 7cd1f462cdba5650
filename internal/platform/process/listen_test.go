package process_test

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// free is an address nobody listens at.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	return l.Addr().String()
}

// refuses fails the test unless connections to the address are refused soon.
func refuses(t *testing.T, address string) {
	t.Helper()
	eventually(t, "connections to "+address+" are refused", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}

func TestAnAddressThatIsGivenUpAnswersNothingThenIsClosedByTheSameWorker(t *testing.T) {
	m := newMachine(t)
	f := m.acquire(t, "run-1")
	m.deploy(t, f, 1, ship.Blue, ship.Limits{})
	worker, old := m.info(t).Worker, m.listen

	m.listen = free(t)
	end := load(t, "http://"+old+"/", true)
	s, _ := m.prepare(t, 2)
	must(t, m.Start(t.Context(), f, s, ship.Green))
	if n, err := end(); err != nil || n == 0 {
		t.Errorf("%d requests at the old address before the swap, the first that failed: %v", n, err)
	}
	eventually(t, "the release answers", func() bool {
		_, err := get("http://" + m.web(t, ship.Green).Address + "/healthz")
		return err == nil
	})
	must(t, m.Shift(t.Context(), f, shop, platform.Shift{To: ship.Green, Drain: time.Second, KeepOld: time.Minute}))
	m.answers(t, "release 2")
	// The old release is warm: traffic may be given back to it and its address.
	res, err := http.Get("http://" + old + "/")
	must(t, err)
	must(t, res.Body.Close())
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("the old address answers %s", res.Status)
	}
	must(t, m.Shift(t.Context(), f, shop, platform.Shift{To: ship.Blue, Drain: time.Second, KeepOld: time.Minute}))
	if body, err := get("http://" + old + "/"); err != nil || body != "release 1" {
		t.Errorf("given back, the old address answers %q, %v", body, err)
	}
	must(t, m.Shift(t.Context(), f, shop, platform.Shift{To: ship.Green, Drain: time.Second, KeepOld: time.Minute}))

	must(t, m.Stop(t.Context(), f, shop, ship.Blue))
	refuses(t, old)
	m.answers(t, "release 2")
	if now := m.info(t).Worker; now != worker {
		t.Errorf("the worker was %d and is %d", worker, now)
	}
	taken, err := net.Listen("tcp", old) // the port is anybody's again
	must(t, err)
	must(t, taken.Close())
}

func TestAnEnvironmentThatIsStoppedGivesItsAddressUpAndLeavesTheOthersTheirs(t *testing.T) {
	m := newMachine(t)
	f := m.acquire(t, "run-1")
	m.deploy(t, f, 1, ship.Blue, ship.Limits{})
	worker := m.info(t).Worker

	other := ship.EnvironmentID{App: shop.App, Name: "staging"}
	address := free(t)
	m.edit = func(s *platform.Spec) {
		s.Environment.ID, s.Environment.Route.Listen = other, []string{address}
	}
	g, err := m.Acquire(t.Context(), other, ship.Claim{Run: "run-2", Holder: "ada", Reason: "deploy", TTL: time.Minute})
	must(t, err)
	s, _ := m.prepare(t, 2)
	must(t, m.Start(t.Context(), g, s, ship.Blue))
	must(t, m.Shift(t.Context(), g, other, platform.Shift{To: ship.Blue, Drain: time.Second}))
	eventually(t, "the other environment answers", func() bool {
		body, err := get("http://" + address + "/")
		return err == nil && body == "release 2"
	})
	must(t, m.Stop(t.Context(), g, other, ship.Blue))
	refuses(t, address)
	m.answers(t, "release 1")
	if now := m.info(t).Worker; now != worker {
		t.Errorf("the worker was %d and is %d", worker, now)
	}
}

func TestTheProxyWorkersLogIsKeptWithinItsBoundWhileItRuns(t *testing.T) {
	m := newMachine(t)
	m.deploy(t, m.acquire(t, "run-1"), 1, ship.Blue, ship.Limits{})
	path := filepath.Join(m.dir, "proxy", "worker.log")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(strings.Repeat(strings.Repeat("x", 1<<10-1)+"\n", 20<<10) + "the last line\n")
	must(t, errors.Join(err, f.Close()))
	eventually(t, "the log is cut", func() bool {
		info, err := os.Stat(path)
		return err == nil && info.Size() < 16<<20
	})
	// What was cut off and what is left hold every line.
	older, err := os.ReadFile(path + ".1")
	must(t, err)
	left, err := os.ReadFile(path)
	must(t, err)
	all := append(older, left...)
	if n := bytes.Count(all, []byte("xxx\n")); n != 20<<10 || !bytes.Contains(all, []byte("the last line\n")) {
		t.Errorf("%d lines are left of %d", n, 20<<10)
	}
	// The next worker appends to the same file, and nothing of it is a hole.
	size := len(left)
	must(t, syscall.Kill(m.info(t).Worker, syscall.SIGKILL))
	m.answers(t, "release 1")
	now, err := os.ReadFile(path)
	must(t, err)
	if len(now) < size || len(now) > size+1<<20 || bytes.IndexByte(now, 0) >= 0 {
		t.Errorf("the log had %d bytes and has %d", size, len(now))
	}
}
