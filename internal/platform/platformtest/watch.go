package platformtest

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// watched shifts from release 1 to a watched release 2.
func (x *fixture) watched(t *testing.T, l ship.Limits) ship.Fence {
	t.Helper()
	if !x.Platform.Capabilities().Watch {
		t.Skip("the platform does not guard a swap by itself")
	}
	f := x.acquire(t, "run-1")
	x.serving(t, f, 1, ship.Blue)
	must(t, x.Platform.Release(t.Context(), x.id, f))
	f = x.acquire(t, "run-2")
	x.started(t, f, 2, ship.Green)
	must(t, x.Platform.Shift(t.Context(), f, x.id, platform.Shift{To: ship.Green, Drain: time.Second, KeepOld: time.Minute, Watch: l}))
	if w := x.observe(t).Watch; w == nil || w.Run != "run-2" || w.Verdict.Outcome != ship.Wait || w.Back {
		t.Errorf("the watch begins with %+v", w)
	}
	return f
}

// takenBack waits until the watch failed, and checks all that follows of it.
func (x *fixture) takenBack(t *testing.T, f ship.Fence, because string) {
	t.Helper()
	eventually(t, "traffic is given back", func() bool { return x.observe(t).Watch.Back })
	o := x.observe(t)
	if o.Active != ship.Blue || o.Watch.Verdict.Outcome != ship.Fail || !strings.Contains(o.Watch.Verdict.Reason, because) {
		t.Errorf("active %s, verdict %+v, want %q", o.Active, o.Watch.Verdict, because)
	}
	eventually(t, "the old release answers", func() bool { _, body := x.get(t, "/"); return body == "release 1" })
	mustBe(t, x.Platform.Shift(t.Context(), f, x.id, platform.Shift{To: ship.Green}), ship.RolledBack)
	if o := x.observe(t); o.Slots[ship.Green].Release.Number != 2 || !webRuns(o) {
		t.Errorf("nothing is left of the release to study: %+v", o.Slots[ship.Green])
	}
	must(t, x.Platform.Release(t.Context(), x.id, f))
	next := x.acquire(t, "run-3")
	x.serving(t, next, 3, ship.Green)
	if _, body := x.get(t, "/"); body != "release 3" {
		t.Errorf("the next run is answered by %q", body)
	}
}

// webRuns tells whether the web instance of the green slot is kept running.
func webRuns(o platform.Observation) bool {
	for _, i := range o.Slots[ship.Green].Instances {
		if i.Process == ship.Web && i.State != "stopped" {
			return true
		}
	}
	return false
}

func testWatchExit(t *testing.T, x *fixture) {
	f := x.watched(t, ship.Limits{For: time.Minute})
	_, _, _ = x.ask(t.Context(), "/exit")
	x.takenBack(t, f, "exit code 3")
}

func testWatchErrors(t *testing.T, x *fixture) {
	f := x.watched(t, ship.Limits{For: time.Minute, ErrorRate: 0.01})
	x.get(t, "/")
	for range 10 {
		x.get(t, "/fail")
	}
	x.takenBack(t, f, "requests failed on v2")
}

func testWatchSilence(t *testing.T, x *fixture) {
	x.watched(t, ship.Limits{For: 500 * time.Millisecond, ErrorRate: 0.01})
	eventually(t, "the watch ends", func() bool { return x.observe(t).Watch.Verdict.Outcome != ship.Wait })
	o := x.observe(t)
	if o.Watch.Verdict.Outcome != ship.NoConclusion || o.Watch.Back || o.Active != ship.Green {
		t.Errorf("active %s, watch %+v", o.Active, o.Watch)
	}
}

func testLogs(t *testing.T, x *fixture) {
	f := x.acquire(t, "run-1")
	x.serving(t, f, 1, ship.Blue)
	eventually(t, "the log says that it starts", func() bool {
		var out bytes.Buffer
		must(t, x.Platform.Logs(t.Context(), x.id, platform.LogQuery{Lines: 10, Process: ship.Web}, &out))
		return strings.Contains(out.String(), "release 1 starts")
	})
	mustBe(t, x.Platform.Logs(t.Context(), x.id, platform.LogQuery{Lines: 10, Slot: ship.Green}, &bytes.Buffer{}), ship.NotFound)

	var following lockedBuffer
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := x.Platform.Logs(ctx, x.id, platform.LogQuery{Lines: 0, Follow: true, Process: ship.Web}, &following); err != nil && ctx.Err() == nil {
			t.Errorf("following: %v", err)
		}
	})
	_, _, _ = x.ask(t.Context(), "/exit") // it is started again, and says so
	eventually(t, "the log is followed", func() bool { return strings.Contains(following.String(), "release 1 starts") })
	cancel()
	wg.Wait()

	s := x.Spec(t, 1)
	_, err := x.Platform.Run(t.Context(), s, platform.Command{Name: "speak", Argv: sh("echo spoken"), Fence: &f})
	must(t, err)
	var out bytes.Buffer
	must(t, x.Platform.Logs(t.Context(), x.id, platform.LogQuery{Lines: 10, Job: "speak"}, &out))
	if out.String() != "spoken\n" {
		t.Errorf("the command's output is %q", out.String())
	}
}

// A lockedBuffer is a buffer that is written and read at the same time.
type lockedBuffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}

func testWatchEnded(t *testing.T, x *fixture) {
	guardian, ok := x.Platform.(platform.Guardian)
	if !ok {
		t.Skip("nobody can end the platform's guard")
	}
	f := x.watched(t, ship.Limits{For: time.Hour, ErrorRate: 0.01})
	stale := f
	stale.Epoch--
	mustBe(t, guardian.EndWatch(t.Context(), stale, x.id, "somebody ended the watch"), ship.Fenced)
	for range 2 {
		must(t, guardian.EndWatch(t.Context(), f, x.id, "somebody ended the watch"))
	}
	w := x.observe(t).Watch
	if w.Verdict.Outcome != ship.NoConclusion || w.Back || !strings.HasPrefix(w.Verdict.Reason, "somebody ended the watch") {
		t.Errorf("the watch ended with %+v, want no pass without proof", w)
	}
	for range 10 {
		x.get(t, "/fail")
	}
	if _, body := x.get(t, "/"); body != "release 2" {
		t.Errorf("%q answers", body)
	}
}
