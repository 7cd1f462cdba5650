package platformtest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

func sh(script string) ship.Argv { return ship.Argv{"sh", "-c", strings.ReplaceAll(script, "$", "$$")} }

func testNamed(t *testing.T, x *fixture) {
	s := x.prepared(t, 1)
	f := x.acquire(t, "run-1")
	c := platform.Command{
		Name: "count", Argv: sh("cat; echo ran >> count; sleep 0.3; wc -l < count; echo $EXTRA $SHIPLOCK_RELEASE >&2; exit 4"),
		Stdin: []byte("in\n"), Vars: map[string]ship.Secret{"EXTRA": ship.NewSecret("extra")}, Fence: &f,
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			r, err := x.Platform.Run(t.Context(), s, c)
			if err != nil || r.Code != 4 || r.Unknown {
				t.Errorf("result %+v, %v", r, err)
				return
			}
			if got := strings.Fields(string(r.Stdout)); len(got) != 2 || got[0] != "in" || got[1] != "1" {
				t.Errorf("output %q", r.Stdout)
			}
			if got := strings.TrimSpace(string(r.Stderr)); got != "extra 1" {
				t.Errorf("errors %q", r.Stderr)
			}
		})
	}
	wg.Wait()
	left, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	c.Name, c.Argv = "left-alone", sh("sleep 0.5; echo finished")
	if _, err := x.Platform.Run(left, s, c); err == nil {
		t.Fatal("the command ended at once")
	}
	r, err := x.Platform.Run(t.Context(), s, c)
	must(t, err)
	if r.Code != 0 || string(r.Stdout) != "finished\n" {
		t.Errorf("a command nobody waited for ended with %+v", r)
	}
	c.Name, c.Argv, c.Timeout = "slow", sh("sleep 60"), 100*time.Millisecond
	r, err = x.Platform.Run(t.Context(), s, c)
	must(t, err)
	if r.Code == 0 {
		t.Errorf("a command that took too long ended with %+v", r)
	}
}

func testNamedFence(t *testing.T, x *fixture) {
	s := x.prepared(t, 1)
	_, err := x.Platform.Run(t.Context(), s, platform.Command{Name: "bare", Argv: sh("true")})
	mustBe(t, err, ship.Invalid)
	f := x.acquire(t, "run-1")
	_, err = x.Platform.Run(t.Context(), s, platform.Command{Name: "../up", Argv: sh("true"), Fence: &f})
	mustBe(t, err, ship.Invalid)
}

func testNamedEnd(t *testing.T, x *fixture) {
	ender, ok := x.Platform.(platform.Ender)
	if !ok {
		t.Skip("the platform ends no commands")
	}
	s := x.prepared(t, 1)
	f := x.acquire(t, "run-1")
	c := platform.Command{Name: "long", Argv: sh("echo begun; touch began; sleep 600 & wait"), Fence: &f}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = x.Platform.Run(ctx, s, c) // it goes on when nobody waits for it
	}()
	eventually(t, "the command begins", func() bool {
		r, err := x.Platform.Run(t.Context(), s, platform.Command{Argv: sh("test -e began")})
		return err == nil && r.Code == 0
	})
	cancel()
	<-gone
	for range 2 { // the second time there is nothing left to end
		must(t, ender.EndCommand(t.Context(), f, x.id, "long"))
	}
	r, err := x.Platform.Run(t.Context(), s, c)
	must(t, err)
	if r.Code == 0 || string(r.Stdout) != "begun\n" {
		t.Errorf("the command ended with %+v", r)
	}
	must(t, ender.EndCommand(t.Context(), f, x.id, "never-begun"))
	stale := ship.Fence{Run: "run-1", Epoch: f.Epoch - 1}
	mustBe(t, ender.EndCommand(t.Context(), stale, x.id, "long"), ship.Fenced)
}

func testQuery(t *testing.T, x *fixture) {
	s := x.prepared(t, 1)
	for _, want := range []string{"1", "2"} {
		r, err := x.Platform.Run(t.Context(), s, platform.Command{Argv: sh("echo ran >> queried; wc -l < queried")})
		must(t, err)
		if got := strings.TrimSpace(string(r.Stdout)); got != want || r.Code != 0 {
			t.Errorf("result %+v, want %s", r, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if _, err := x.Platform.Run(ctx, s, platform.Command{Argv: sh("sleep 60")}); err == nil {
		t.Error("a query outlived its context")
	}
	if time.Since(begun) > patience {
		t.Error("the query was waited for")
	}
}
