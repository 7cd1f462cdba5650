package platformtest

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

func testUnseen(t *testing.T, x *fixture) {
	o := x.observe(t)
	if o.Known || o.Epoch != 0 || o.Holder != nil || o.Active != "" || len(o.Slots) != 0 || o.Mode != ship.Serving {
		t.Errorf("observed %+v", o)
	}
}

func testLock(t *testing.T, x *fixture) {
	first := x.acquire(t, "run-1")
	if again := x.acquire(t, "run-1"); again != first {
		t.Errorf("the same run got %+v, then %+v", first, again)
	}
	_, err := x.Platform.Acquire(t.Context(), x.id, x.claim("run-2"))
	mustBe(t, err, ship.Locked)
	for _, word := range []string{"ada", "deploy", "run-1"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
	if h := x.observe(t).Holder; h == nil || h.Run != "run-1" {
		t.Errorf("holder %+v", h)
	}
	must(t, x.Platform.Renew(t.Context(), x.id, first, time.Minute))
	must(t, x.Platform.Release(t.Context(), x.id, first))
	must(t, x.Platform.Release(t.Context(), x.id, first))
	if x.observe(t).Holder != nil {
		t.Error("a released grant has a holder")
	}
	second := x.acquire(t, "run-2")
	if second.Epoch <= first.Epoch {
		t.Errorf("epoch %d after %d", second.Epoch, first.Epoch)
	}
	must(t, x.Platform.Release(t.Context(), x.id, second))
	c := x.claim("run-3")
	c.Atleast = second.Epoch + 100
	third, err := x.Platform.Acquire(t.Context(), x.id, c)
	must(t, err)
	if third.Epoch < c.Atleast {
		t.Errorf("epoch %d is below the %d asked for", third.Epoch, c.Atleast)
	}
}

func testLapse(t *testing.T, x *fixture) {
	c := x.claim("run-1")
	c.TTL = 50 * time.Millisecond
	old, err := x.Platform.Acquire(t.Context(), x.id, c)
	must(t, err)
	var taken ship.Fence
	eventually(t, "a lapsed grant can be taken", func() bool {
		taken, err = x.Platform.Acquire(t.Context(), x.id, x.claim("run-2"))
		return err == nil
	})
	mustBe(t, x.Platform.Renew(t.Context(), x.id, old, time.Minute), ship.Fenced)
	mustBe(t, x.Platform.Release(t.Context(), x.id, old), ship.Fenced)
	must(t, x.Platform.Renew(t.Context(), x.id, taken, time.Minute))
}

func testFence(t *testing.T, x *fixture) {
	old := x.acquire(t, "run-1")
	x.serving(t, old, 1, ship.Blue)
	must(t, x.Platform.Release(t.Context(), x.id, old))
	now := x.acquire(t, "run-2")
	s := x.Spec(t, 1)
	stale := map[string]ship.Fence{
		"older epoch":                     old,
		"epoch of another run":            {Run: "run-1", Epoch: now.Epoch},
		"epoch that never was granted":    {Run: "run-2", Epoch: now.Epoch + 1},
		"epoch from before the run's own": {Run: "run-2", Epoch: now.Epoch - 1},
	}
	for name, f := range stale {
		for what, change := range x.changes(f, s) {
			if err := change(t.Context()); ship.KindOf(err) != ship.Fenced {
				t.Errorf("%s with an %s: %v", what, name, err)
			}
		}
	}
	if _, body := x.get(t, "/"); body != "release 1" {
		t.Errorf("answered %q", body)
	}
}

// changes are all methods that take a fence.
func (x *fixture) changes(f ship.Fence, s platform.Spec) map[string]func(context.Context) error {
	p := x.Platform
	return map[string]func(context.Context) error{
		"Renew":   func(ctx context.Context) error { return p.Renew(ctx, x.id, f, time.Minute) },
		"Release": func(ctx context.Context) error { return p.Release(ctx, x.id, f) },
		"Start":   func(ctx context.Context) error { return p.Start(ctx, f, s, ship.Green) },
		"Stop":    func(ctx context.Context) error { return p.Stop(ctx, f, x.id, ship.Blue) },
		"Shift":   func(ctx context.Context) error { return p.Shift(ctx, f, x.id, platform.Shift{To: ship.Green}) },
		"SetMode": func(ctx context.Context) error {
			return p.SetMode(ctx, f, x.id, platform.ModeChange{Mode: ship.Maintenance})
		},
		"StopWorkers":  func(ctx context.Context) error { return p.StopWorkers(ctx, f, x.id) },
		"StartWorkers": func(ctx context.Context) error { return p.StartWorkers(ctx, f, x.id) },
		"Run": func(ctx context.Context) error {
			_, err := p.Run(ctx, s, platform.Command{Name: "stale", Argv: ship.Argv{"true"}, Fence: &f})
			return err
		},
	}
}

func testUpload(t *testing.T, x *fixture) {
	a, zip := x.Spec(t, 1).Release.Artifact, x.Archive(t, 1)
	damaged := bytes.Clone(zip)
	damaged[len(damaged)/2] ^= 1
	for name, body := range map[string][]byte{"damaged": damaged, "cut short": zip[:len(zip)-1], "empty": nil} {
		if err := x.Platform.Upload(t.Context(), a, bytes.NewReader(body)); err == nil {
			t.Errorf("an artifact that is %s was taken", name)
		}
	}
	_, err := x.Platform.Prepare(t.Context(), x.Spec(t, 1))
	mustBe(t, err, ship.NotFound)
	for range 2 {
		must(t, x.Platform.Upload(t.Context(), a, bytes.NewReader(zip)))
	}
}

func testPrepare(t *testing.T, x *fixture) {
	s := x.prepared(t, 1)
	first, err := x.Platform.Prepare(t.Context(), s)
	must(t, err)
	second, err := x.Platform.Prepare(t.Context(), s)
	must(t, err)
	if first.Dir == "" || first.Dir != second.Dir {
		t.Errorf("prepared in %q, then in %q", first.Dir, second.Dir)
	}
	if other := x.prepared(t, 2); other.Release.Artifact.Digest == s.Release.Artifact.Digest {
		t.Fatal("the world's releases do not differ")
	}
	o := x.observe(t)
	if o.Known || len(o.Slots) != 0 {
		t.Errorf("preparing made it %+v", o)
	}
}
