package platformtest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

func testDeploy(t *testing.T, x *fixture) {
	f := x.acquire(t, "run-1")
	s := x.started(t, f, 1, ship.Blue)
	before := x.observe(t)
	if before.Active != "" || !before.Known {
		t.Errorf("started: %+v", before)
	}
	must(t, x.Platform.Start(t.Context(), f, s, ship.Blue))
	after := x.observe(t)
	if before.Slots[ship.Blue].Instances[0].PID != after.Slots[ship.Blue].Instances[0].PID {
		t.Error("a second Start started it again")
	}
	shift := platform.Shift{To: ship.Blue, Drain: time.Second, KeepOld: time.Hour}
	for range 2 {
		must(t, x.Platform.Shift(t.Context(), f, x.id, shift))
		if _, body := x.get(t, "/"); body != "release 1" {
			t.Errorf("answered %q", body)
		}
	}
	mustBe(t, x.Platform.Start(t.Context(), f, x.prepared(t, 2), ship.Blue), ship.Invalid)
	x.started(t, f, 2, ship.Green)
	if _, body := x.get(t, "/"); body != "release 1" {
		t.Errorf("before the shift %q answered", body)
	}
	shift.To = ship.Green
	for range 2 {
		must(t, x.Platform.Shift(t.Context(), f, x.id, shift))
		if _, body := x.get(t, "/"); body != "release 2" {
			t.Errorf("answered %q", body)
		}
	}
	eventually(t, "the drain ends", func() bool { return !x.observe(t).Slots[ship.Blue].Draining })
	o := x.observe(t)
	if o.Active != ship.Green || o.Slots[ship.Green].Release.Number != 2 || o.Receipt == nil || o.Receipt.From != ship.Blue || o.Receipt.To != ship.Green {
		t.Errorf("observed %+v with receipt %+v", o, o.Receipt)
	}
	if o.Slots[ship.Green].Counters.Requests < 2 {
		t.Errorf("counted %+v", o.Slots[ship.Green].Counters)
	}
	shift.To = ship.Blue
	must(t, x.Platform.Shift(t.Context(), f, x.id, shift))
	if _, body := x.get(t, "/"); body != "release 1" {
		t.Errorf("after going back %q answered", body)
	}
}

func testSwap(t *testing.T, x *fixture) {
	f := x.acquire(t, "run-1")
	x.serving(t, f, 1, ship.Blue)
	x.started(t, f, 2, ship.Green)
	lost, stop := x.load(t)
	for i := range 10 {
		to := []ship.Slot{ship.Green, ship.Blue}[i%2]
		must(t, x.Platform.Shift(t.Context(), f, x.id, platform.Shift{To: to, Drain: 5 * time.Second, KeepOld: time.Hour}))
		if o := x.observe(t); o.Active != to {
			t.Errorf("active is %s after a shift to %s", o.Active, to)
		}
	}
	if n := stop(); n < 10 {
		t.Errorf("only %d requests were made", n)
	}
	if why := lost(); why != "" {
		t.Errorf("a request was lost: %s", why)
	}
}

// load asks the environment from several clients until it is stopped. lost
// says what went wrong first.
func (x *fixture) load(t *testing.T) (lost func() string, stop func() int64) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var count atomic.Int64
	var bad atomic.Pointer[string]
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				status, body, err := x.ask(ctx, "/load")
				if ctx.Err() != nil {
					return
				}
				if err != nil || status != 200 {
					why := fmt.Sprintf("status %d, body %q, error %v", status, body, err)
					bad.CompareAndSwap(nil, &why)
				}
				count.Add(1)
			}
		})
	}
	stop = sync.OnceValue(func() int64 { cancel(); wg.Wait(); return count.Load() })
	t.Cleanup(func() { stop() })
	return func() string {
		if p := bad.Load(); p != nil {
			return *p
		}
		return ""
	}, stop
}

func testStop(t *testing.T, x *fixture) {
	f := x.acquire(t, "run-1")
	x.serving(t, f, 1, ship.Blue)
	s := x.started(t, f, 2, ship.Green)
	for range 2 {
		must(t, x.Platform.Stop(t.Context(), f, x.id, ship.Green))
	}
	for _, i := range x.observe(t).Slots[ship.Green].Instances {
		if i.State != "stopped" {
			t.Errorf("instance %+v", i)
		}
	}
	if err := x.Platform.Shift(t.Context(), f, x.id, platform.Shift{To: ship.Green}); err == nil {
		t.Error("traffic was shifted to a stopped slot")
	}
	if _, body := x.get(t, "/"); body != "release 1" {
		t.Errorf("answered %q", body)
	}
	must(t, x.Platform.Start(t.Context(), f, s, ship.Green))
	x.healthy(t, ship.Green)
}

func testWorkers(t *testing.T, x *fixture) {
	f := x.acquire(t, "run-1")
	x.started(t, f, 1, ship.Blue)
	if x.ticks(t) != "" {
		t.Error("workers run before the shift")
	}
	x.serving(t, f, 1, ship.Blue)
	eventually(t, "the workers of release 1 run", func() bool { return strings.Contains(x.ticks(t), "1") })
	x.serving(t, f, 2, ship.Green)
	eventually(t, "the workers of release 2 run", func() bool { return strings.Contains(x.ticks(t), "2") })
	if got := x.ticks(t); strings.LastIndex(got, "1") > strings.Index(got, "2") {
		t.Errorf("two versions of the workers ran at once: %q", got)
	}
	for range 2 {
		must(t, x.Platform.StopWorkers(t.Context(), f, x.id))
	}
	still := x.ticks(t)
	for range 2 {
		if x.running(t, "tick") != 0 || x.ticks(t) != still {
			t.Error("workers run although they were stopped")
		}
		_, _ = x.get(t, "/")
	}
	for range 2 {
		must(t, x.Platform.StartWorkers(t.Context(), f, x.id))
	}
	eventually(t, "the workers run again", func() bool { return len(x.ticks(t)) > len(still) })
	if n := x.running(t, "tick"); n != 1 {
		t.Errorf("%d workers run", n)
	}
}

func (x *fixture) ticks(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(x.TickFile)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(data), "\n", "")
}

func (x *fixture) running(t *testing.T, process string) int {
	t.Helper()
	n := 0
	for _, s := range x.observe(t).Slots {
		for _, i := range s.Instances {
			if i.Process == process && i.State == "running" {
				n++
			}
		}
	}
	return n
}

func testHold(t *testing.T, x *fixture) {
	if !x.Platform.Capabilities().Hold {
		t.Skip("the platform cannot hold requests")
	}
	f := x.acquire(t, "run-1")
	x.serving(t, f, 1, ship.Blue)
	for range 2 {
		must(t, x.Platform.SetMode(t.Context(), f, x.id, platform.ModeChange{Mode: ship.Holding, For: time.Second}))
	}
	if m := x.observe(t).Mode; m != ship.Holding {
		t.Errorf("mode %s", m)
	}
	if status, body := x.get(t, "/"); status != 200 || body != "release 1" {
		t.Errorf("a held request was answered %d %q", status, body)
	}
	eventually(t, "the hold ends", func() bool { return x.observe(t).Mode == ship.Serving })
}

func testMaintenance(t *testing.T, x *fixture) {
	if !x.Platform.Capabilities().Maintenance {
		t.Skip("the platform has no maintenance page")
	}
	f := x.acquire(t, "run-1")
	x.serving(t, f, 1, ship.Blue)
	for range 2 {
		must(t, x.Platform.SetMode(t.Context(), f, x.id, platform.ModeChange{Mode: ship.Maintenance, For: 30 * time.Second, Text: "back at noon"}))
	}
	if status, body := x.get(t, "/"); status != 503 || !strings.Contains(body, "back at noon") {
		t.Errorf("answered %d %q", status, body)
	}
	if status, _ := x.get(t, "/healthz"); status != 200 {
		t.Errorf("health was answered %d", status)
	}
	must(t, x.Platform.SetMode(t.Context(), f, x.id, platform.ModeChange{Mode: ship.Serving}))
	if status, body := x.get(t, "/"); status != 200 || body != "release 1" {
		t.Errorf("answered %d %q", status, body)
	}
}

func testKeepOld(t *testing.T, x *fixture) {
	f := x.acquire(t, "run-1")
	x.serving(t, f, 1, ship.Blue)
	x.started(t, f, 2, ship.Green)
	must(t, x.Platform.Shift(t.Context(), f, x.id, platform.Shift{To: ship.Green, Drain: time.Second, KeepOld: 200 * time.Millisecond}))
	eventually(t, "the old slot is stopped", func() bool {
		for _, i := range x.observe(t).Slots[ship.Blue].Instances {
			if i.State != "stopped" {
				return false
			}
		}
		return true
	})
	if _, body := x.get(t, "/"); body != "release 2" {
		t.Errorf("answered %q", body)
	}
}
