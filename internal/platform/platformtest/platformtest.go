// Package platformtest holds the tests every platform has to pass. It knows
// the contract of [platform.Platform] and nothing of how one keeps it.
package platformtest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// patience is how long a test waits for what has to happen.
const patience = 30 * time.Second

// A World is a platform under test, empty, and an application that can be
// released on it.
//
// The application answers every path with "release N", N being its number, but
// "/fail" with status 500, "/exit" by exiting with code 3, and "/healthz" with
// status 200. It writes "release N starts" to its output when it does. Its
// process "tick" adds its number as a line to the file named by the variable
// TICKS, again and again. Commands can use sh.
type World struct {
	Platform platform.Platform
	URL      string // where the environment's requests go
	// Spec returns release number n in the environment, the same at each call.
	Spec func(t testing.TB, n int) platform.Spec
	// Archive returns the zip of release n.
	Archive func(t testing.TB, n int) []byte
	// TickFile is where TICKS points to, as the test can read it.
	TickFile string
}

// Run runs all tests, each of them in a world of its own.
func Run(t *testing.T, open func(t *testing.T) World) {
	tests := []struct {
		name string
		test func(*testing.T, *fixture)
	}{
		{"an environment never seen before is empty", testUnseen},
		{"one run at a time holds an environment", testLock},
		{"a grant that lapsed can be taken and its fence is refused", testLapse},
		{"a stale fence changes nothing", testFence},
		{"an artifact is verified against its digest", testUpload},
		{"a release is prepared once", testPrepare},
		{"a named command runs once however often it is asked for", testNamed},
		{"a named command needs a valid fence", testNamedFence},
		{"a named command that nobody needs is ended", testNamedEnd},
		{"a query runs anew each time and ends with its context", testQuery},
		{"every step of a deployment can be repeated", testDeploy},
		{"a swap loses no request", testSwap},
		{"a stopped slot runs nothing", testStop},
		{"workers run in one version at a time", testWorkers},
		{"a hold ends by itself", testHold},
		{"a maintenance page is shown and taken away", testMaintenance},
		{"a release that exits is taken back and stays latched", testWatchExit},
		{"a release that fails requests is taken back", testWatchErrors},
		{"a watch without traffic is no pass", testWatchSilence},
		{"a person ends a watch and the release stays", testWatchEnded},
		{"the old slot is stopped when its time is over", testKeepOld},
		{"logs show a slot and can be followed", testLogs},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t)
			tt.test(t, &fixture{World: w, id: w.Spec(t, 1).Environment.ID})
		})
	}
}

// A fixture is a world with the steps tests have in common.
type fixture struct {
	World
	id ship.EnvironmentID
}

func (x *fixture) claim(run string) ship.Claim {
	return ship.Claim{Run: run, Holder: "ada", Reason: "deploy", TTL: time.Minute}
}

func (x *fixture) acquire(t *testing.T, run string) ship.Fence {
	t.Helper()
	f, err := x.Platform.Acquire(t.Context(), x.id, x.claim(run))
	must(t, err)
	return f
}

// prepared uploads and prepares release n.
func (x *fixture) prepared(t *testing.T, n int) platform.Spec {
	t.Helper()
	s := x.Spec(t, n)
	must(t, x.Platform.Upload(t.Context(), s.Release.Artifact, bytes.NewReader(x.Archive(t, n))))
	_, err := x.Platform.Prepare(t.Context(), s)
	must(t, err)
	return s
}

// started starts release n in the slot and waits until it answers.
func (x *fixture) started(t *testing.T, f ship.Fence, n int, slot ship.Slot) platform.Spec {
	t.Helper()
	s := x.prepared(t, n)
	must(t, x.Platform.Start(t.Context(), f, s, slot))
	x.healthy(t, slot)
	return s
}

// healthy waits until every web instance of the slot answers.
func (x *fixture) healthy(t *testing.T, slot ship.Slot) {
	t.Helper()
	eventually(t, "slot "+string(slot)+" is healthy", func() bool {
		asked := 0
		for _, i := range x.observe(t).Slots[slot].Instances {
			if i.Process != ship.Web {
				continue
			}
			resp, err := http.Get("http://" + i.Address + "/healthz")
			if err != nil {
				return false
			}
			_ = resp.Body.Close()
			asked++
		}
		return asked > 0
	})
}

// serving deploys release n into the slot.
func (x *fixture) serving(t *testing.T, f ship.Fence, n int, slot ship.Slot) {
	t.Helper()
	x.started(t, f, n, slot)
	must(t, x.Platform.Shift(t.Context(), f, x.id, platform.Shift{To: slot, Drain: time.Second, KeepOld: time.Hour}))
}

func (x *fixture) observe(t *testing.T) platform.Observation {
	t.Helper()
	o, err := x.Platform.Observe(t.Context(), x.id)
	must(t, err)
	return o
}

// get asks the environment and returns status and body.
func (x *fixture) get(t *testing.T, path string) (int, string) {
	t.Helper()
	status, body, err := x.ask(t.Context(), path)
	must(t, err)
	return status, body
}

func (x *fixture) ask(ctx context.Context, path string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, x.URL+path, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustBe checks that err is of the kind.
func mustBe(t *testing.T, err error, kind ship.Kind) {
	t.Helper()
	if err == nil || ship.KindOf(err) != kind {
		t.Fatalf("got error %v of kind %q, want kind %q", err, ship.KindOf(err), kind)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("it does not happen that %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}
