package process_test

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// seen is what is looked at of the evidence of a guard.
type seen struct {
	Last struct {
		New    struct{ Requests, Errors int64 }
		Probes struct{ Sent, Healthy int64 }
	}
	Failures []struct{ Path, Method string }
	After    string
}

func (m *machine) seen(t *testing.T) seen {
	t.Helper()
	ev, err := m.Evidence(t.Context(), shop, 10)
	must(t, err)
	var s seen
	if len(ev.Judged) > 0 {
		must(t, json.Unmarshal(ev.Judged, &s))
	}
	return s
}

// watched deploys v1 and, guarded, v2.
func (m *machine) watched(t *testing.T, s platform.Shift) ship.Fence {
	t.Helper()
	f := m.acquire(t, "run-1")
	m.deploy(t, f, 1, ship.Blue, ship.Limits{})
	must(t, m.Release(t.Context(), shop, f))
	f = m.acquire(t, "run-2")
	spec, _ := m.prepare(t, 2)
	must(t, m.Start(t.Context(), f, spec, ship.Green))
	eventually(t, "the release answers", func() bool {
		_, err := get("http://" + m.web(t, ship.Green).Address + "/healthz")
		return err == nil
	})
	s.To, s.Drain, s.KeepOld = ship.Green, time.Second, time.Minute
	must(t, m.Shift(t.Context(), f, shop, s))
	return f
}

func TestTheEvidenceOfAWatchSurvivesTheNode(t *testing.T) {
	m := newMachine(t)
	m.watched(t, platform.Shift{Watch: ship.Limits{For: time.Hour, ErrorRate: 0.9}})
	for range 20 {
		m.answers(t, "release 2")
	}
	_, _ = get("http://" + m.listen + "/fail?secret=1")
	eventually(t, "it is written", func() bool {
		s := m.seen(t)
		return s.Last.New.Requests == 21 && s.Last.New.Errors == 1 && s.Last.Probes.Sent > 10 && len(s.Failures) == 1
	})
	before := m.seen(t)
	<-time.After(3 * time.Second) // longer than it takes to write it down
	began := m.observe(t).Watch.Began
	m.kill(t)
	m.start(t)
	eventually(t, "the guard goes on", func() bool { return m.seen(t).Last.Probes.Sent > before.Last.Probes.Sent+5 })
	after := m.seen(t)
	if after.Last.New.Requests != 21 || after.Last.New.Errors != 1 || len(after.Failures) != 1 || after.Failures[0].Path != "/fail" {
		t.Errorf("evidence was %+v and is %+v", before, after)
	}
	if w := m.observe(t).Watch; !w.Began.Equal(began) || w.Verdict.Outcome != ship.Wait {
		t.Errorf("the watch began anew: %+v", w)
	}
}

func TestAReleaseWithoutAWayBackIsHeldAndStays(t *testing.T) {
	m := newMachine(t)
	m.watched(t, platform.Shift{Watch: ship.Limits{For: time.Minute, ErrorRate: 0.01}, NoWayBack: "v1 cannot run on the schema"})
	for range 10 {
		_, _ = get("http://" + m.listen + "/fail")
	}
	eventually(t, "it is held", func() bool { return m.observe(t).Watch.Held })
	o := m.observe(t)
	if o.Watch.Back || o.Active != ship.Green || o.Watch.Verdict.Outcome != ship.NoConclusion || !strings.Contains(o.Watch.Verdict.Reason, "v1 cannot run on the schema") {
		t.Errorf("active %s, watch %+v", o.Active, o.Watch)
	}
	m.answers(t, "release 2")
}

func TestErrorsThatGoOnAfterARollbackAreToldToBeShared(t *testing.T) {
	m := newMachine(t)
	m.watched(t, platform.Shift{Watch: ship.Limits{For: time.Minute, ErrorRate: 0.01}})
	eventually(t, "the cause is told", func() bool {
		_, _ = get("http://" + m.listen + "/fail") // users ask what no declared path shows
		return m.observe(t).Watch.After != ""
	})
	o := m.observe(t)
	if !o.Watch.Back || !strings.Contains(o.Watch.After, "errors continued on the previous release") || !strings.Contains(o.Watch.After, "probably shared") {
		t.Errorf("watch %+v", o.Watch)
	}
	if s := m.seen(t); s.After != o.Watch.After {
		t.Errorf("the evidence says %q", s.After)
	}
}

func TestTheNodeGoesThroughTheStagesAlone(t *testing.T) {
	m := newMachine(t)
	f := m.watched(t, platform.Shift{
		Watch:  ship.Limits{For: time.Minute, ErrorRate: 0.01},
		Stages: []ship.Stage{{Percent: 20, For: 2 * time.Second}, {Percent: 60, For: 2 * time.Second}},
	})
	if o := m.observe(t); o.Active != ship.Blue || o.Watch.Percent != 20 {
		t.Fatalf("active %s, watch %+v", o.Active, o.Watch)
	}
	must(t, m.Shift(t.Context(), f, shop, platform.Shift{To: ship.Green})) // asked again: it has begun
	m.kill(t)
	m.start(t)
	eventually(t, "the next stage begins", func() bool { return m.observe(t).Watch.Percent == 60 })
	answered := map[string]int{}
	for range 100 {
		body, err := get("http://" + m.listen + "/")
		must(t, err)
		answered[body]++
	}
	if answered["release 1"] == 0 || answered["release 2"] == 0 {
		t.Errorf("answered by %v", answered)
	}
	eventually(t, "it gets all requests", func() bool { return m.observe(t).Active == ship.Green })
	o := m.observe(t)
	if o.Watch.Percent != 0 || o.Watch.Verdict.Outcome != ship.Wait || o.Receipt == nil || o.Receipt.To != ship.Green {
		t.Errorf("watch %+v, receipt %+v", o.Watch, o.Receipt)
	}
	for range 10 {
		m.answers(t, "release 2")
	}
}

func TestARunThatWasTakenBackInAStageIsLatchedWhateverItsEpoch(t *testing.T) {
	m := newMachine(t)
	f := m.watched(t, platform.Shift{
		Watch:  ship.Limits{For: time.Minute, ErrorRate: 0.01},
		Stages: []ship.Stage{{Percent: 50, For: time.Minute}},
	})
	must(t, syscall.Kill(m.web(t, ship.Green).PID, syscall.SIGKILL))
	eventually(t, "traffic is given back", func() bool { return m.observe(t).Watch.Back })
	for range 20 {
		m.answers(t, "release 1")
	}
	must(t, m.Release(t.Context(), shop, f))
	again := m.acquire(t, "run-2")
	if again.Epoch <= f.Epoch {
		t.Fatalf("epoch %d after %d", again.Epoch, f.Epoch)
	}
	mustBe(t, m.Shift(t.Context(), again, shop, platform.Shift{To: ship.Green}), ship.RolledBack, "was taken back")
}

func TestTheTrafficOfTheLastSecondsIsShown(t *testing.T) {
	m := newMachine(t)
	m.watched(t, platform.Shift{Watch: ship.Limits{For: time.Hour, ErrorRate: 0.5}})
	for range 5 {
		m.answers(t, "release 2")
	}
	eventually(t, "the second is over", func() bool {
		ev, err := m.Evidence(t.Context(), shop, 30)
		must(t, err)
		var n int64
		for _, c := range ev.Slots[ship.Green] {
			n += c.Requests
		}
		return n == 5 && len(ev.Slots[ship.Green]) == 30 && ev.Run == "run-2"
	})
}

func TestA68AnOutageThatOutlastsTheWatchIsHeld(t *testing.T) {
	m := newMachine(t)
	m.watched(t, platform.Shift{Watch: ship.Limits{For: 8 * time.Second, ErrorRate: 0.01, OnInconclusive: ship.PromoteAnyway}})
	for _, slot := range []ship.Slot{ship.Blue, ship.Green} {
		if _, err := get("http://" + m.web(t, slot).Address + "/sicken"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the cause is recognised", func() bool { return strings.Contains(m.observe(t).Watch.Alert, "probably shared") })
	eventually(t, "the watch ends", func() bool { return m.observe(t).Watch.Verdict.Outcome != ship.Wait })
	if o := m.observe(t); !o.Watch.Held || o.Watch.Back || o.Active != ship.Green {
		t.Errorf("active %s, watch %+v", o.Active, o.Watch)
	}
}
