package deploy_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

func (k kinds) Gate(p ship.Plugin, r deploy.Resolver) (gate.Gate, error) {
	if asks, ok := k.s.gates[p.Kind].(interface {
		with(deploy.Resolver) gate.Gate
	}); ok {
		return asks.with(r), nil
	}
	return k.s.gates[p.Kind], nil
}

// A judge is a gate that is a function.
type judge func(context.Context, gate.Candidate) (ship.Verdict, error)

func (j judge) Judge(ctx context.Context, c gate.Candidate) (ship.Verdict, error) { return j(ctx, c) }

func says(o ship.Outcome) judge {
	return func(context.Context, gate.Candidate) (ship.Verdict, error) {
		return ship.Verdict{Outcome: o, Reason: "7 of 9"}, nil
	}
}

// gated is a stage whose environment wants gates, each of a kind of its name.
func gated(t *testing.T, gates map[string]gate.Gate, list ...ship.Gate) *stage {
	t.Helper()
	return newStage(t, func(s *stage) {
		s.gates = gates
		for _, g := range list {
			g.Plugin = ship.Plugin{Kind: g.Name}
			if g.Timeout == 0 {
				g.Timeout = time.Minute
			}
			s.env.Gates = append(s.env.Gates, g)
		}
	})
}

func TestGatesAreAskedAtOnceAndOneThatMeasuresAlone(t *testing.T) {
	var now atomic.Int64
	both := make(chan struct{}, 2)
	together := judge(func(ctx context.Context, _ gate.Candidate) (ship.Verdict, error) {
		now.Add(1)
		defer now.Add(-1)
		both <- struct{}{}
		for len(both) < 2 { // each waits for the other
			if ctx.Err() != nil {
				return ship.Verdict{}, ctx.Err()
			}
			<-time.After(time.Millisecond)
		}
		return ship.Verdict{Outcome: ship.Pass, Reason: "together"}, nil
	})
	alone := judge(func(context.Context, gate.Candidate) (ship.Verdict, error) {
		if n := now.Load(); n != 0 || len(both) != 2 {
			t.Errorf("asked beside %d others, after %d", n, len(both))
		}
		return ship.Verdict{Outcome: ship.Pass, Reason: "alone"}, nil
	})
	s := gated(t, map[string]gate.Gate{"unit": together, "scan": together, "load": alone}, ship.Gate{Name: "unit"}, ship.Gate{Name: "load", Alone: true}, ship.Gate{Name: "scan"})
	run := s.add(firstRelease(s))
	if r := s.carry(run.ID); r.Status != ship.Passed {
		t.Fatalf("%+v", r)
	}
	if done := s.said(run.ID, ship.EventDone); !strings.Contains(done, "gate unit: together") || !strings.Contains(done, "gate scan: together") || !strings.Contains(done, "gate load: alone") {
		t.Error(done)
	}
}

func TestAGateThatSaysNoStopsTheOthersAndEndsTheRun(t *testing.T) {
	waits := judge(func(ctx context.Context, _ gate.Candidate) (ship.Verdict, error) {
		<-ctx.Done()
		return ship.Verdict{}, ctx.Err()
	})
	s := gated(t, map[string]gate.Gate{"e2e": waits, "scan": says(ship.Fail)}, ship.Gate{Name: "e2e"}, ship.Gate{Name: "scan"})
	run := s.add(firstRelease(s))
	r := s.carry(run.ID)
	if r.Status != ship.Broken || r.Kind != ship.GateFailed || r.Step != "gate scan" || !strings.Contains(r.Reason, "gate scan: 7 of 9") || r.Schema != ship.SchemaUnchanged {
		t.Errorf("%+v", r)
	}
	if failed := s.said(run.ID, ship.EventFailed); !strings.Contains(failed, "gate e2e: stopped, because gate scan did not pass") {
		t.Error(failed)
	}
	if len(s.platform.slots) > 0 {
		t.Error("it was started")
	}
}

func TestAGateThatTakesTooLongFailed(t *testing.T) {
	waits := judge(func(ctx context.Context, c gate.Candidate) (ship.Verdict, error) {
		_, _, err := c.Command(ctx, ship.Argv{"sleep"})
		return ship.Verdict{}, err
	})
	s := gated(t, map[string]gate.Gate{"e2e": waits}, ship.Gate{Name: "e2e", Timeout: 50 * time.Millisecond})
	s.platform.command = func(ctx context.Context, _ platform.Spec, _ platform.Command) (platform.Result, error) {
		<-ctx.Done()
		return platform.Result{}, ctx.Err()
	}
	r := s.deploy(firstRelease(s))
	if r.Kind != ship.GateFailed || !strings.Contains(r.Reason, "gate e2e did not end within 50ms") || !strings.Contains(r.Next, "shiplock logs production --job") || len(s.platform.ended) != 1 {
		t.Errorf("%+v, ended %q", r, s.platform.ended)
	}
}

func (b *books) EndCommand(_ context.Context, f ship.Fence, _ ship.EnvironmentID, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = append(b.ended, f.Run+" "+name)
	return nil
}

func TestTheCommandOfAGateThatNobodyNeedsIsEndedAndOneOfAStoppedServerGoesOn(t *testing.T) {
	begun := make(chan struct{}, 1)
	runs := judge(func(ctx context.Context, c gate.Candidate) (ship.Verdict, error) {
		_, _, err := c.Command(ctx, ship.Argv{"npm", "test"})
		return ship.Verdict{Outcome: ship.Pass, Reason: "npm"}, err
	})
	fails := judge(func(ctx context.Context, _ gate.Candidate) (ship.Verdict, error) {
		select {
		case <-begun:
			return ship.Verdict{Outcome: ship.Fail, Reason: "no"}, nil
		case <-ctx.Done():
			return ship.Verdict{}, ctx.Err()
		}
	})
	s := gated(t, map[string]gate.Gate{"e2e": runs, "scan": fails}, ship.Gate{Name: "e2e"}, ship.Gate{Name: "scan"})
	first, stopping := context.WithCancel(t.Context())
	var again atomic.Bool
	s.platform.command = func(ctx context.Context, _ platform.Spec, _ platform.Command) (platform.Result, error) {
		if again.Load() {
			begun <- struct{}{}
		} else {
			stopping()
		}
		<-ctx.Done()
		return platform.Result{}, ctx.Err()
	}
	run := s.add(firstRelease(s))
	if _, err := s.engine.Carry(first, run.ID); !errors.Is(err, context.Canceled) || len(s.platform.ended) > 0 {
		t.Fatalf("%v, ended %q", err, s.platform.ended)
	}
	again.Store(true)
	if r := s.carry(run.ID); r.Step != "gate scan" || len(s.platform.ended) != 1 || s.platform.ended[0] != run.ID+" "+run.ID+".gate-e2e" {
		t.Errorf("%+v, ended %q", r, s.platform.ended)
	}
}

func TestAPersonCancelsAllGatesAtOnce(t *testing.T) {
	begun := make(chan struct{}, 2)
	waits := judge(func(ctx context.Context, _ gate.Candidate) (ship.Verdict, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return ship.Verdict{}, ctx.Err()
	})
	s := gated(t, map[string]gate.Gate{"e2e": waits, "scan": waits}, ship.Gate{Name: "e2e"}, ship.Gate{Name: "scan"})
	run := s.add(firstRelease(s))
	ended := make(chan ship.Result, 1)
	go func() { ended <- s.carry(run.ID) }()
	<-begun
	<-begun
	if err := s.store.Signal(t.Context(), run.ID, ship.Signal{Name: "cancel", By: "ann"}); err != nil {
		t.Fatal(err)
	}
	if r := <-ended; r.Kind != ship.Interrupted || !strings.Contains(r.Reason, "cancelled by ann") {
		t.Errorf("%+v", r)
	}
}

func TestGatesGoOnAfterTheServerWasStopped(t *testing.T) {
	var asked atomic.Int64
	passes := judge(func(context.Context, gate.Candidate) (ship.Verdict, error) {
		asked.Add(1)
		return ship.Verdict{Outcome: ship.Pass, Reason: "unit"}, nil
	})
	first, stopping := context.WithCancel(t.Context())
	var again atomic.Bool
	cut := judge(func(ctx context.Context, _ gate.Candidate) (ship.Verdict, error) {
		if again.Load() {
			return ship.Verdict{Outcome: ship.Pass, Reason: "e2e"}, nil
		}
		for asked.Load() == 0 {
			<-time.After(time.Millisecond)
		}
		again.Store(true)
		stopping()
		<-ctx.Done()
		return ship.Verdict{}, ctx.Err()
	})
	s := gated(t, map[string]gate.Gate{"unit": passes, "e2e": cut}, ship.Gate{Name: "unit"}, ship.Gate{Name: "e2e"})
	run := s.add(firstRelease(s))
	if _, err := s.engine.Carry(first, run.ID); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	if r := s.carry(run.ID); r.Status != ship.Passed {
		t.Errorf("%+v", r)
	}
}

func TestFilesOfACommandAreKeptAndComparedWithTheReleaseThatServes(t *testing.T) {
	var earlier []string
	reads := judge(func(ctx context.Context, c gate.Candidate) (ship.Verdict, error) {
		if _, _, err := c.Command(ctx, ship.Argv{"scan"}); err != nil {
			return ship.Verdict{}, err
		}
		text, err := c.File(ctx, "out/scan.sarif")
		if err != nil {
			return ship.Verdict{}, err
		}
		before, err := c.Earlier(ctx, "out/scan.sarif")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return ship.Verdict{}, err
		}
		earlier = append(earlier, string(before))
		return ship.Verdict{Outcome: ship.Pass, Reason: string(text)}, nil
	})
	s := gated(t, map[string]gate.Gate{"scan": reads}, ship.Gate{Name: "scan"})
	writes := true
	s.platform.command = func(_ context.Context, spec platform.Spec, c platform.Command) (platform.Result, error) {
		dir := filepath.Join(s.dir, "releases", spec.Release.Artifact.Digest, "out")
		if !writes {
			return platform.Result{}, nil
		}
		return platform.Result{}, errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "scan.sarif"), []byte("found in "+c.Fence.Run), 0o600))
	}
	one := s.deploy(firstRelease(s))
	second := s.release("sha256:2", map[string]string{"00001_init.sql": initial})
	run := s.add(second)
	two := s.carry(run.ID)
	if one.Status != ship.Passed || two.Status != ship.Passed || earlier[0] != "" || earlier[1] != "found in "+one.Run {
		t.Fatalf("%+v, %+v, %q", one, two, earlier)
	}
	entries, err := s.store.Journal(t.Context(), run.ID)
	if err != nil {
		t.Fatal(err)
	}
	var v ship.Verdict
	for _, e := range entries {
		if e.Name == "gate scan" {
			err = json.Unmarshal(e.Evidence, &v)
		}
	}
	if err != nil || v.Report == nil || len(v.Report.Files) != 1 {
		t.Fatalf("%+v, %v", v, err)
	}
	if text, err := os.ReadFile(v.Report.Files[0]); err != nil || string(text) != "found in "+run.ID {
		t.Errorf("kept %q, %v", text, err)
	}
	writes = false // what is there is of the run before
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(s.dir, "releases", "sha256:2", "out", "scan.sarif"), old, old); err != nil {
		t.Fatal(err)
	}
	if r := s.deploy(second); r.Status != ship.Broken || !strings.Contains(r.Reason, "the command has not written it: it is from") {
		t.Errorf("%+v", r)
	}
}

func TestA62NoGateReadsOutsideTheRelease(t *testing.T) {
	s := gated(t, map[string]gate.Gate{"reads": judge(func(ctx context.Context, c gate.Candidate) (ship.Verdict, error) {
		for _, path := range []string{"../../state/state.db", "/etc/passwd", "link", "folder/passwd", "migrations", "pipe"} {
			if text, err := c.File(ctx, path); err == nil {
				t.Errorf("%s was read: %d bytes", path, len(text))
			}
		}
		return ship.Verdict{Outcome: ship.Pass, Reason: "none"}, nil
	})}, ship.Gate{Name: "reads"})
	r := firstRelease(s)
	dir := filepath.Join(s.dir, "releases", "sha256:1")
	if err := errors.Join(os.Symlink("/etc/passwd", filepath.Join(dir, "link")), os.Symlink("/etc", filepath.Join(dir, "folder")), syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if r := s.deploy(r); r.Status != ship.Passed {
		t.Errorf("%+v", r)
	}
}

func TestAGateOfTheRunningReleaseIsAskedBeforeUsersGetToIt(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	address := strings.TrimPrefix(web.URL, "http://")
	var s *stage
	asked := 0
	visits := judge(func(ctx context.Context, c gate.Candidate) (ship.Verdict, error) {
		asked++
		if len(c.Targets) != 1 || c.Targets[0] != web.URL || c.Host != "shop.test" || s.platform.active != "" {
			t.Errorf("%+v while %q is active", c.Targets, s.platform.active)
		}
		_, _, err := c.Command(ctx, ship.Argv{"e2e"})
		return ship.Verdict{Outcome: ship.Fail, Reason: "no"}, err
	})
	s = gated(t, map[string]gate.Gate{"e2e": visits}, ship.Gate{Name: "e2e", Running: true})
	s.env.Run.Processes[ship.Web] = ship.Process{Instances: 1}
	s.env.Health = ship.Health{Path: "/", HealthyAfter: 1, Every: time.Millisecond, GiveUp: 30 * time.Second, Timeout: 10 * time.Second}
	s.env.Route.Hosts = []string{"shop.test"}
	s.platform.web = address
	web.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	s.platform.command = func(_ context.Context, _ platform.Spec, c platform.Command) (platform.Result, error) {
		if got := c.Vars["SHIPLOCK_URL"]; got.Reveal() != web.URL {
			t.Errorf("the command finds the release at %q", got.Reveal())
		}
		return platform.Result{}, nil
	}
	r := s.deploy(firstRelease(s))
	if asked != 1 || r.Kind != ship.GateFailed || s.platform.active != "" {
		t.Errorf("asked %d times, %+v", asked, r)
	}
}

// leaks is a gate that shows what it should not.
type leaks struct{ deploy.Resolver }

func (leaks) with(r deploy.Resolver) gate.Gate { return leaks{r} }

func (l leaks) Judge(_ context.Context, c gate.Candidate) (ship.Verdict, error) {
	own, err := l.Resolve("Bearer ${secret:OWN}") // of the gate's settings alone
	c.Progress("canary-4711", ship.Figure{Name: "canary-4711"})
	return ship.Verdict{Outcome: ship.Pass, Reason: "canary-4711", Report: &ship.Report{Items: []ship.Item{{Title: own.Reveal(), Text: "canary-4711, canary-4712"}}}}, err
}

func TestSecretsAreHiddenInWhatAGateFound(t *testing.T) {
	s := gated(t, map[string]gate.Gate{"leaks": leaks{}}, ship.Gate{Name: "leaks"})
	s.env.Vars = map[string]ship.Value{"TOKEN": "${secret:T}"}
	s.resolver = func(ship.Environment) (deploy.Resolver, error) { return canary{}, nil }
	run := s.add(firstRelease(s))
	if r := s.carry(run.ID); r.Status != ship.Passed {
		t.Fatalf("%+v", r)
	}
	entries, err := s.store.Journal(t.Context(), run.ID)
	if err != nil {
		t.Fatal(err)
	}
	events, err := s.store.Events(t.Context(), run.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal([]any{entries, events})
	if err != nil || strings.Contains(string(text), "canary") {
		t.Errorf("A51 a secret was recorded: %s, %v", text, err)
	}
}

type canary struct{}

func (canary) Resolve(v ship.Value) (ship.Secret, error) {
	return ship.NewSecret(strings.NewReplacer("${secret:T}", "canary-4711", "${secret:OWN}", "canary-4712").Replace(string(v))), nil
}
