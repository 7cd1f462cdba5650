package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// three are a goShop's environments, one after the other, each with a database
// of its own.
const three = `
environments:
  dev:        {listen: "127.0.0.1:%d", vars: {STAGE: dev}, database: {url: "sqlite:///%[4]s/dev.sqlite3"}}
  staging:    {listen: "127.0.0.1:%[2]d", vars: {STAGE: staging}, database: {url: "sqlite:///%[4]s/staging.sqlite3"}, after: dev, auto: true}
  production: {listen: "127.0.0.1:%[3]d", vars: {STAGE: production}, database: {url: "sqlite:///%[4]s/production.sqlite3"}, after: staging, soak: 1s}
drain: 1s
watch: {for: 500ms, error_rate: 5%%}
`

// newPipeline is a goShop with three environments.
func newPipeline(t *testing.T, w *world) *goShop {
	t.Helper()
	s := newGoShop(t, w, "1s")
	head, _, _ := strings.Cut(goYAML, "environments:")
	s.write("shiplock.yaml", head+fmt.Sprintf(three, s.port, freePort(t), freePort(t), filepath.Dir(s.database)), 0o644)
	return s
}

// in returns what runs in one environment.
func (p *project) in(env string) wire.EnvironmentStatus {
	p.w.t.Helper()
	var all []wire.EnvironmentStatus
	if err := json.Unmarshal([]byte(p.read("status", env, "-o", "json")), &all); err != nil || len(all) != 1 {
		p.w.t.Fatalf("status of %s: %v: %v", env, err, all)
	}
	return all[0]
}

// runsOf returns the runs of an environment, newest first.
func (p *project) runsOf(env string) []ship.Run {
	p.w.t.Helper()
	var all []ship.Run
	if err := json.Unmarshal([]byte(p.read("history", env, "-o", "json")), &all); err != nil {
		p.w.t.Fatal(err)
	}
	return all
}

// What was deployed to dev goes on to staging by itself and to production when
// somebody promotes it: the same bytes, with the server killed in between.
func TestPromotionThroughThreeEnvironmentsWithTheServerKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := newPipeline(t, w)
	nothing, code := s.cli("promote", "production")
	if code != 3 || !strings.Contains(nothing, "nothing has served staging") || !strings.Contains(nothing, "shiplock deploy staging") {
		t.Errorf("before there is anything: exit code %d: %s", code, nothing)
	}
	s.do("deploy", "dev", "--wait", "watched").expect(t, 0, "", ship.SchemaChanged, 1)
	w.killServer()
	w.up()
	w.eventually(time.Minute, "staging has followed", func() error {
		if e := s.in("staging"); e.Release == nil || e.Open != nil {
			return fmt.Errorf("%s, %+v", e.State, e.Open)
		}
		return nil
	})
	locked, code := s.cli("lock", "production", "--reason", "the sale", "--for", "2h")
	if code != 0 || !strings.Contains(locked, "the sale") {
		t.Errorf("lock: exit code %d: %s", code, locked)
	}
	barred := s.do("promote", "production")
	if barred.code != 8 || !strings.Contains(barred.text, "the sale") || !strings.Contains(barred.text, "shiplock unlock production") {
		t.Errorf("while it is locked: exit code %d: %s", barred.code, barred.text)
	}
	first := s.begin("promote", "production", "--queue")
	w.eventually(time.Minute, "a promotion waits", func() error {
		if s.in("production").Queued == nil {
			return fmt.Errorf("none")
		}
		return nil
	})
	w.killServer()
	w.up()
	second := s.begin("promote", "production", "--queue", "--wait", "watched")
	if e := first.wait(); e.code != 8 || e.Status != ship.Superseded || !strings.Contains(e.Reason, "superseded by d-") {
		t.Errorf("the first ended with exit code %d, %s: %s\n%s", e.code, e.Status, e.Reason, e.text)
	}
	s.ok("unlock", "production")
	second.wait().expect(t, 0, "", ship.SchemaChanged, 1)
	s.promotedOnce()
}

// promotedOnce fails the test unless one release runs everywhere, having come to
// staging and production in one run each.
func (s *goShop) promotedOnce() {
	t := s.w.t
	t.Helper()
	digest := s.runsOf("dev")[0].Request.Release.Artifact.Digest
	for env, auto := range map[string]bool{"staging": true, "production": false} {
		passed := 0
		for _, r := range s.runsOf(env) {
			if r.Status == ship.Passed {
				passed++
			}
			if r.Request.Release.Artifact.Digest != digest || r.Request.Auto != auto || r.Request.From == "" {
				t.Errorf("%s: run %s is of %s, from %q, by itself %v", env, r.ID, r.Request.Release.Artifact.Digest, r.Request.From, r.Request.Auto)
			}
		}
		if passed != 1 {
			t.Errorf("%s has %d runs that passed", env, passed)
		}
	}
	var all []wire.Told
	if err := json.Unmarshal([]byte(s.read("releases", "-o", "json")), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || len(all[0].RunsIn) != 3 || all[0].RunsIn[2].Environment != "production" {
		t.Errorf("releases: %+v", all)
	}
}

// Between the end of a run and the beginning of what follows it there are three
// moments: nothing is recorded, it is recorded and not ticked off, it has its
// turn and was not handed on. The server is killed at each.
func TestPromotionByItselfIsNeitherLostNorMadeTwiceAtAnyMoment(t *testing.T) {
	t.Parallel()
	w := faultyWorld(t, nil)
	s := newPipeline(t, w)
	for i, point := range []string{"promote due", "store promoted", "promote begun"} {
		s.version(fmt.Sprint(i + 1))
		w.arm(point, "kill")
		s.ok("deploy", "dev", "--no-wait")
		w.eventually(time.Minute, "the server died at: "+point, func() error {
			if !w.has(point + ".hit") {
				return fmt.Errorf("it has not come there")
			}
			return nil
		})
		_ = w.server.Wait()
		w.up()
		w.eventually(time.Minute, "staging has followed", func() error {
			runs := s.runsOf("staging")
			if len(runs) <= i || !runs[0].Status.Ended() {
				return fmt.Errorf("%d runs", len(runs))
			}
			return nil
		})
		runs := s.runsOf("staging")
		if len(runs) != i+1 || runs[0].Status != ship.Passed || runs[0].Request.Release.Number != i+1 {
			t.Errorf("killed at %s: %d runs of staging, the last %s (%s), of v%d", point, len(runs), runs[0].Status, runs[0].Result.Reason, runs[0].Request.Release.Number)
		}
	}
}
