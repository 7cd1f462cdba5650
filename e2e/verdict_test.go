package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

func TestErrorsAfterTheSwapTakeAReleaseBackWithinAFewRequests(t *testing.T) {
	t.Parallel()
	y, tr, c := swappedIn(t, "{for: 1m, error_rate: 1%, p95: 2s}", 50)
	y.ail("v2", "errors=1")
	e := c.wait()
	e.expect(t, 4, ship.RolledBack, ship.SchemaUnchanged, 1)
	e.says(t, "requests failed on v2", "limit 1 %", "v2 was taken back, v1 is serving")
	s := tr.end()
	if n := s.Failed["500"].Count; n < 3 || n > 20 {
		t.Errorf("%d requests failed before the release was taken back", n)
	}
	t.Logf("%s; %d requests failed", e.Reason, s.Failed["500"].Count)
	if y.serving() != "v1" || y.bell.times(e.Run) != 1 {
		t.Errorf("%s serves, told %d times", y.serving(), y.bell.times(e.Run))
	}
	y.explained(e)
}

// explained fails the test unless the journal has what the verdict was made of.
func (y *ward) explained(e ended) {
	y.w.t.Helper()
	out, code := y.w.run("explain", e.Run, "--data", y.w.data, "-f", y.dir+"/shiplock.yaml", "-o", "json")
	var j wire.Journal
	if err := json.Unmarshal([]byte(out), &j); err != nil || code != 0 {
		y.w.t.Fatalf("explain: exit code %d, %v: %s", code, err, out)
	}
	for _, entry := range j.Entries {
		var ev struct {
			Judged struct {
				Tests    []json.RawMessage
				Failures []struct{ Path string }
				Trail    struct{ Samples []json.RawMessage }
			}
		}
		if entry.Name == "watch" && json.Unmarshal(entry.Evidence, &ev) == nil {
			if len(ev.Judged.Tests) == 0 || len(ev.Judged.Failures) == 0 || ev.Judged.Failures[0].Path != "/page" || len(ev.Judged.Trail.Samples) == 0 {
				y.w.t.Errorf("the journal has not what the verdict was made of: %.2000s", entry.Evidence)
			}
			return
		}
	}
	y.w.t.Errorf("the journal has no evidence of the watch: %.2000s", out)
}

// isTakenBack has a release fall ill after the swap, under so many requests a
// second, and fails the test unless it is taken back for the reason.
func isTakenBack(t *testing.T, watch string, rate float64, ailment string, reason ...string) {
	t.Helper()
	y, tr, c := swappedIn(t, watch, rate)
	y.ail("v2", ailment)
	e := c.wait()
	e.expect(t, 4, ship.RolledBack, ship.SchemaUnchanged, 1)
	e.says(t, reason...)
	t.Log(e.Reason)
	if tr != nil {
		t.Log(tr.end())
	}
}

// swappedIn has v2 serve, under so many requests a second, while its deployment
// goes on. There is no traffic without requests.
func swappedIn(t *testing.T, watch string, rate float64) (*ward, *traffic, *command) {
	t.Helper()
	y := newWard(t, newWorld(t), watch)
	y.first()
	var tr *traffic
	if rate > 0 {
		tr = y.visit(rate)
	}
	y.next()
	c := y.begin("deploy", "production")
	y.swapped(2)
	return y, tr, c
}

func TestSlowAnswersTakeAReleaseBack(t *testing.T) {
	t.Parallel()
	isTakenBack(t, "{for: 1m, error_rate: 1%, p95: 200ms, warmup: 1s}", 40, "slow=400", "200ms")
}

func TestHangsTakeAReleaseBackWhileTheyLast(t *testing.T) {
	t.Parallel()
	isTakenBack(t, "{for: 1m, error_rate: 1%, p95: 300ms, warmup: 1s}", 40, "hang")
}

func TestACrashAfterTheSwapTakesAReleaseBackAtOnce(t *testing.T) {
	t.Parallel()
	isTakenBack(t, "{for: 1m, error_rate: 1%}", 40, "crash", "an instance ended", "exit code 3")
}

func TestA68ASharedOutageIsHeldAndNotTakenBack(t *testing.T) {
	t.Parallel()
	y, tr, c := swappedIn(t, "{for: 12s, error_rate: 1%, on_inconclusive: promote}", 50)
	y.ail("all", "dead")
	y.w.eventually(time.Minute, "the outage is recognised", func() error {
		if o := y.observe(); o.Watch.Back || !strings.Contains(o.Watch.Alert, "probably shared") {
			return fmt.Errorf("%+v", o.Watch)
		}
		return nil
	})
	y.ail("all", "")
	e := c.wait()
	if e.Serving != 2 || e.Kind == ship.RolledBack {
		t.Errorf("the release was taken back: %+v", e.Result)
	}
	said := false
	for _, ev := range e.events {
		said = said || ev.Type == ship.EventNote && strings.Contains(ev.Text, "probably shared")
	}
	if !said || y.bell.times(e.Run) == 0 {
		t.Errorf("said %t, told %d times: %s", said, y.bell.times(e.Run), e.text)
	}
	t.Logf("%s\n%s", e.Reason, tr.end())
}

func TestLittleTrafficIsEnoughToTakeADeadReleaseBack(t *testing.T) {
	t.Parallel()
	isTakenBack(t, "{for: 1m, error_rate: 1%}", 1, "errors=1")
}

func TestADeadReleaseIsTakenBackWithoutAnyTraffic(t *testing.T) {
	t.Parallel()
	isTakenBack(t, "{for: 1m, error_rate: 1%}", 0, "errors=1", "/page") // /healthz is well: only the declared paths show it
}

func TestAHealthyReleaseIsReturnedFromEarlyAndGuardedOn(t *testing.T) {
	t.Parallel()
	y := newWard(t, newWorld(t), "{for: 5m, error_rate: 5%, min: 2s}")
	y.first()
	tr := y.visit(100)
	y.next()
	begun := time.Now()
	e := y.do("deploy", "production")
	if e.code != 0 || time.Since(begun) > time.Minute || y.serving() != "v2" {
		t.Fatalf("exit code %d after %s: %s", e.code, time.Since(begun), e.text)
	}
	last := e.events[len(e.events)-1]
	if last.Type != ship.EventHealthy || !strings.Contains(last.Text, "healthy, proven") {
		t.Errorf("the last word is %s %q", last.Type, last.Text)
	}
	if o := y.observe(); o.Watch.Verdict.Outcome != ship.Wait {
		t.Errorf("the guard ended: %+v", o.Watch)
	}
	out, code := y.w.run("watch", "production", "--once", "--data", y.w.data, "-f", y.dir+"/shiplock.yaml")
	if code != 0 || !strings.Contains(out, "healthy (proven)") || !strings.Contains(out, "errors against the limit") {
		t.Errorf("watch: exit code %d: %s", code, out)
	}
	t.Log("\n" + out)
	// What goes wrong later is found all the same, and is in the history.
	y.ail("v2", "errors=2")
	y.w.eventually(time.Minute, "the run ends", func() error {
		runs, _ := y.w.run("history", "production", "--data", y.w.data, "-f", y.dir+"/shiplock.yaml")
		if !strings.Contains(runs, "rolled back") || y.bell.times(last.Run) == 0 {
			return fmt.Errorf("%s", runs)
		}
		return nil
	})
	if y.serving() != "v1" || y.bell.times(last.Run) != 1 {
		t.Errorf("%s serves, told %d times", y.serving(), y.bell.times(last.Run))
	}
	tr.end()
}

func TestADeploymentWithoutTrafficIsReturnedFromUnprovenAndGuardedOn(t *testing.T) {
	t.Parallel()
	y := newWard(t, newWorld(t), "{for: 5m, error_rate: 5%, min: 2s}")
	y.first()
	y.next()
	begun := time.Now()
	e := y.do("deploy", "production")
	if e.code != 0 || time.Since(begun) > time.Minute || y.serving() != "v2" {
		t.Fatalf("exit code %d after %s: %s", e.code, time.Since(begun), e.text)
	}
	last := e.events[len(e.events)-1]
	var r ship.Result
	if err := json.Unmarshal(last.Data, &r); err != nil || last.Type != ship.EventUnproven || r.Health != ship.Unproven || r.Status != ship.Running || r.Serving != 2 {
		t.Errorf("the last word is %s %q: %+v, %v", last.Type, last.Text, r, err)
	}
	for _, part := range []string{"v2 serves; not proven: no request came within ", "health checks were good", "the watch goes on until", "takes v2 back by itself"} {
		if !strings.Contains(r.Reason, part) {
			t.Errorf("%q does not say %q", r.Reason, part)
		}
	}
	for _, verb := range []string{"status", "explain"} {
		if out, code := y.w.run(verb, "--data", y.w.data, "-f", y.dir+"/shiplock.yaml"); code != 0 || !strings.Contains(out, "not proven yet") {
			t.Errorf("%s: exit code %d: %s", verb, code, out)
		}
	}
	t.Log(r.Reason)
	// Its guard goes on: what it finds without a request takes the release back.
	y.ail("v2", "errors=1")
	y.w.eventually(time.Minute, "v2 is taken back", func() error {
		// Nobody asks the application: that would be a request.
		o := y.observe()
		if out, _ := y.w.run("history", "production", "--data", y.w.data, "-f", y.dir+"/shiplock.yaml"); !strings.Contains(out, "rolled back") || o.Slots[o.Active].Release.Number != 1 {
			return fmt.Errorf("v%d serves: %s", o.Slots[o.Active].Release.Number, out)
		}
		return nil
	})
}

func TestAPersonGoesBackWhileTheWatchGoesOn(t *testing.T) {
	t.Parallel()
	y := newWard(t, newWorld(t), "{for: 5m, error_rate: 5%, min: 2s}")
	y.first()
	y.next()
	if e := y.do("deploy", "production"); e.code != 0 || y.serving() != "v2" {
		t.Fatalf("exit code %d: %s", e.code, e.text)
	}
	e := y.do("rollback", "production", "--yes")
	if e.code != 0 || y.serving() != "v1" || !strings.Contains(e.text, "v2 is watched by ") {
		t.Errorf("exit code %d, %s serves: %s", e.code, y.serving(), e.text)
	}
	out, _ := y.w.run("status", "--data", y.w.data, "-f", y.dir+"/shiplock.yaml", "-o", "json")
	var all []wire.EnvironmentStatus
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 || all[0].Previous == nil || all[0].Previous.Number != 2 {
		t.Errorf("the previous good release is not v2: %v, %s", err, out)
	}
}

func TestAReleaseIsTakenBackWhileTheServerIsDead(t *testing.T) {
	t.Parallel()
	y, tr, c := swappedIn(t, "{for: 5m, error_rate: 1%}", 50)
	run := y.observe().Watch.Run
	y.w.killServer()
	y.ail("v2", "errors=1")
	y.w.eventually(time.Minute, "traffic is given back", func() error {
		if y.serving() != "v1" {
			return fmt.Errorf("v2 serves")
		}
		return nil
	})
	if n := tr.end().Failed["500"].Count; n < 3 || n > 20 {
		t.Errorf("%d requests failed", n)
	}
	if y.bell.times(run) != 0 {
		t.Error("somebody was told, by whom?")
	}
	y.w.up()
	e := c.wait()
	e.expect(t, 4, ship.RolledBack, ship.SchemaUnchanged, 1)
	e.says(t, "failed on v2") // requests, or the health checks of the time in which there were few
	if y.bell.times(run) != 1 {
		t.Errorf("told %d times", y.bell.times(run))
	}
}

func TestAReleaseThatFailsInAStageNeverGetsAllRequests(t *testing.T) {
	t.Parallel()
	y := newWard(t, newWorld(t), "{for: 1m, error_rate: 1%}")
	y.more = "stages: [{percent: 20%, for: 1m}]\nsticky: false"
	y.first()
	tr := y.visit(100)
	y.next()
	y.ail("v2", "errors=1")
	e := y.do("deploy", "production")
	e.expect(t, 4, ship.RolledBack, ship.SchemaUnchanged, 1)
	s := tr.end()
	if n := s.Failed["500"].Count; n < 3 || n > 40 {
		t.Errorf("%d requests failed", n)
	}
	t.Logf("%s\n%s", e.Reason, s)
	// The next one is well: it goes through the stage and gets them all.
	y.more = "stages: [{percent: 20%, for: 1s}]\nsticky: false"
	y.limit = "{for: 3s, error_rate: 1%, on_inconclusive: promote}"
	tr = y.visit(50)
	y.next()
	well := y.do("deploy", "production")
	well.expect(t, 0, "", ship.SchemaUnchanged, 3)
	if s := tr.stop(); s.Lost() > 0 || y.serving() != "v3" {
		t.Errorf("%s serves: %s", y.serving(), s)
	}
}

func TestAnUnprovenReleaseIsHeldForAPerson(t *testing.T) {
	t.Parallel()
	y := newWard(t, newWorld(t), "{for: 1s, error_rate: 1%, on_inconclusive: hold}")
	y.first()
	y.next()
	e := y.do("deploy", "production")
	e.expect(t, 7, ship.Inconclusive, ship.SchemaUnchanged, 2)
	e.says(t, "held", "not proven")
	if y.bell.times(e.Run) != 1 {
		t.Errorf("told %d times", y.bell.times(e.Run))
	}
	y.do("resume", e.Run).expect(t, 0, "", ship.SchemaUnchanged, 2)
	y.next()
	again := y.do("deploy", "production")
	again.expect(t, 7, ship.Inconclusive, ship.SchemaUnchanged, 3)
	y.do("abort", again.Run).expect(t, 4, ship.RolledBack, ship.SchemaUnchanged, 2)
	if y.serving() != "v2" {
		t.Errorf("%s serves", y.serving())
	}
}

func TestA66OneClientAmongManyTakesNoReleaseBack(t *testing.T) {
	t.Parallel()
	y := newWard(t, newWorld(t), "{for: 8s, error_rate: 5%, on_inconclusive: promote}")
	y.more = "proxy: {trusted_proxies: [127.0.0.1]}"
	y.ail("all", "url") // A70: the URL fails on both releases
	y.first()
	ctx, cancel := context.WithCancel(t.Context())
	var crowd, loop patients
	for i := range 30 {
		crowd.from(ctx, y.url()+"/page", fmt.Sprintf("192.0.2.%d", i+1), 100*time.Millisecond)
	}
	time.Sleep(2 * time.Second)
	loop.from(ctx, y.url()+"/known-bad", "198.51.100.7", 25*time.Millisecond)
	y.next()
	e := y.do("deploy", "production", "--wait", "watched")
	cancel()
	crowd.wg.Wait()
	loop.wg.Wait()
	if e.code != 0 || e.Serving != 2 || loop.lost.Load() < 50 {
		t.Errorf("exit code %d after %d errors of one client beside %d requests of others: %s", e.code, loop.lost.Load(), crowd.sent.Load(), e.Reason)
	}
	t.Log(e.Reason)
}

func TestAPersonEndsAWatchAndTheNextDeploymentNeedsNotWait(t *testing.T) {
	t.Parallel()
	y := newWard(t, newWorld(t), "{for: 8m, error_rate: 5%, min: 2s}")
	y.first()
	tr := y.visit(100)
	y.next()
	if e := y.do("deploy", "production"); e.code != 0 {
		t.Fatalf("exit code %d: %s", e.code, e.text)
	}
	y.next()
	refused := y.do("deploy", "production")
	if refused.code != 8 || !strings.Contains(refused.text, "now at watch") || !strings.Contains(refused.text, "to end its watch") {
		t.Fatalf("exit code %d: %s", refused.code, refused.text)
	}
	out, code := y.w.run("resume", "d-2", "--data", y.w.data, "-f", y.dir+"/shiplock.yaml")
	if code != 0 || !strings.Contains(out, "ended the watch after") || !strings.Contains(out, "health was proven") {
		t.Fatalf("resume: exit code %d: %s", code, out)
	}
	if e := y.do("deploy", "production"); e.code != 0 || y.serving() != "v3" {
		t.Errorf("exit code %d, %s serves: %s", e.code, y.serving(), e.text)
	}
	if s := tr.end(); len(s.Failed) > 0 {
		t.Errorf("requests failed: %s", s)
	}
}
