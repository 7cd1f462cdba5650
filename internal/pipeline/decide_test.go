package pipeline_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shiplock/shiplock/internal/pipeline"
	"github.com/shiplock/shiplock/internal/ship"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func ago(minutes int) time.Time { return noon.Add(-time.Duration(minutes) * time.Minute) }

// staging is an environment that comes after dev.
func staging(soak time.Duration) ship.Environment {
	return ship.Environment{ID: ship.EnvironmentID{App: "shop", Name: "staging"}, After: "dev", Soak: soak}
}

func deployed(release, minutes int) ship.Deployed {
	return ship.Deployed{Release: release, At: ago(minutes), Verb: ship.VerbDeploy, Run: "d-1"}
}

func rolledBack(release, minutes int) ship.Deployed {
	return ship.Deployed{Release: release, At: ago(minutes), Verb: ship.VerbRollback, Run: "d-2"}
}

func served(list ...ship.Deployed) pipeline.History { return pipeline.History{Deployed: list} }

func wish(env ship.Environment, release int) ship.Request {
	return ship.Request{Verb: ship.VerbDeploy, Environment: env, Release: ship.Release{App: "shop", Number: release}}
}

func promotion(env ship.Environment, release int, auto bool) ship.Request {
	w := wish(env, release)
	w.From, w.Auto = env.After, auto
	return w
}

func TestWhetherARunMayBegin(t *testing.T) {
	run := &ship.Run{ID: "d-7", Status: ship.Running, Request: wish(staging(0), 6)}
	paused := &ship.Run{ID: "d-7", Status: ship.Paused, Request: wish(staging(0), 6)}
	frozen := staging(0)
	frozen.Freeze = []ship.Freeze{{From: "2026-11-24 00:00", To: "2026-11-25 00:00", Zone: "UTC", Reason: "the sale"}}
	locked := &ship.Lock{By: "dana", Reason: "upgrade of the disk", Until: noon.Add(time.Hour)}
	back := ship.Request{Verb: ship.VerbRollback, Environment: frozen, Release: ship.Release{Number: 4}}
	down := ship.Request{Verb: ship.VerbMigrate, Environment: frozen, Options: ship.Options{Down: "0002"}}
	contract := ship.Request{Verb: ship.VerbMigrate, Environment: staging(time.Hour), Options: ship.Options{Contract: true}}
	for name, tt := range map[string]struct {
		wish  ship.Request
		facts pipeline.Facts
		want  ship.Outcome
		why   string
		until time.Time
	}{
		"no environment before":           {wish(ship.Environment{}, 5), pipeline.Facts{}, ship.Pass, "", time.Time{}},
		"it serves there":                 {wish(staging(0), 5), pipeline.Facts{Below: served(deployed(5, 1))}, ship.Pass, "", time.Time{}},
		"it served there once":            {wish(staging(0), 5), pipeline.Facts{Below: served(deployed(6, 1), deployed(5, 9))}, ship.Pass, "", time.Time{}},
		"it never did":                    {wish(staging(0), 5), pipeline.Facts{Below: served(deployed(4, 1))}, ship.Fail, "v5 has not served dev, which staging comes after", time.Time{}},
		"it was taken back":               {wish(staging(0), 5), pipeline.Facts{Below: served(rolledBack(4, 1), deployed(5, 9))}, ship.Fail, "v5 was taken back in dev", time.Time{}},
		"it was taken back and came":      {wish(staging(0), 5), pipeline.Facts{Below: served(deployed(5, 1), rolledBack(4, 5), deployed(5, 9))}, ship.Pass, "", time.Time{}},
		"it is on its way there":          {wish(staging(0), 6), pipeline.Facts{Below: pipeline.History{Open: run}}, ship.Wait, "v6 is not through in dev: run d-7 is running", time.Time{}},
		"another is on its way there":     {wish(staging(0), 5), pipeline.Facts{Below: pipeline.History{Open: run}}, ship.Fail, "has not served", time.Time{}},
		"it soaks":                        {wish(staging(time.Hour), 5), pipeline.Facts{Below: served(deployed(5, 20))}, ship.Wait, "since 2026-11-24 11:40:00 UTC, staging wants 1h: until 2026-11-24 12:40:00", noon.Add(40 * time.Minute)},
		"it has soaked":                   {wish(staging(time.Hour), 5), pipeline.Facts{Below: served(deployed(5, 60))}, ship.Pass, "", time.Time{}},
		"it has soaked over two runs":     {wish(staging(time.Hour), 5), pipeline.Facts{Below: served(deployed(5, 5), deployed(5, 60))}, ship.Pass, "", time.Time{}},
		"it soaked and was replaced":      {wish(staging(time.Hour), 5), pipeline.Facts{Below: served(deployed(6, 5), deployed(5, 65))}, ship.Pass, "", time.Time{}},
		"it was replaced too soon":        {wish(staging(time.Hour), 5), pipeline.Facts{Below: served(deployed(6, 5), deployed(5, 64))}, ship.Fail, "v5 served dev for 59m only, before v6 came", time.Time{}},
		"locked":                          {wish(staging(0), 5), pipeline.Facts{Below: served(deployed(5, 1)), Lock: locked}, ship.Wait, "staging is locked until 2026-11-24 13:00:00 UTC by dana: upgrade of the disk", noon.Add(time.Hour)},
		"frozen":                          {wish(frozen, 5), pipeline.Facts{Below: served(deployed(5, 1))}, ship.Wait, "staging is frozen until 2026-11-25 00:00:00 UTC: the sale", noon.Add(12 * time.Hour)},
		"somebody has it":                 {wish(staging(0), 5), pipeline.Facts{Below: served(deployed(5, 1)), Here: pipeline.History{Open: run}}, ship.Wait, "held by run d-7", time.Time{}},
		"somebody paused has it":          {wish(staging(0), 5), pipeline.Facts{Below: served(deployed(5, 1)), Here: pipeline.History{Open: paused}}, ship.Wait, "held by run d-7", time.Time{}},
		"a promotion of what is there":    {promotion(staging(0), 5, false), pipeline.Facts{Below: served(deployed(5, 1)), Here: served(deployed(5, 1))}, ship.Fail, "staging has v5 already", time.Time{}},
		"a deployment of what is there":   {wish(staging(0), 5), pipeline.Facts{Below: served(deployed(5, 1)), Here: served(deployed(5, 1))}, ship.Pass, "", time.Time{}},
		"taken back here, by itself":      {promotion(staging(0), 5, true), pipeline.Facts{Below: served(deployed(5, 1)), Here: served(rolledBack(4, 1), deployed(5, 9))}, ship.Fail, "does not come again by itself", time.Time{}},
		"taken back here, by a person":    {promotion(staging(0), 5, false), pipeline.Facts{Below: served(deployed(5, 1)), Here: served(rolledBack(4, 1), deployed(5, 9))}, ship.Pass, "", time.Time{}},
		"a rollback, locked and frozen":   {back, pipeline.Facts{Lock: locked}, ship.Pass, "", time.Time{}},
		"a rollback while somebody is on": {back, pipeline.Facts{Lock: locked, Here: pipeline.History{Open: run}}, ship.Wait, "held by run d-7", time.Time{}},
		"a way down, locked and frozen":   {down, pipeline.Facts{Lock: locked}, ship.Pass, "", time.Time{}},
		"a contract needs no soak":        {contract, pipeline.Facts{}, ship.Pass, "", time.Time{}},
		"a contract heeds the lock":       {contract, pipeline.Facts{Lock: locked}, ship.Wait, "is locked", time.Time{}},
	} {
		tt.facts.Now = noon
		got := pipeline.Decide(tt.wish, tt.facts)
		if got.Outcome != tt.want || !strings.Contains(got.Reason, tt.why) || !tt.until.IsZero() && !got.Until.Equal(tt.until) {
			t.Errorf("%s: %+v, want %s because %q, until %s", name, got, tt.want, tt.why, tt.until)
		}
		if got.Outcome == ship.Pass == (got.Err() != nil) || got.Outcome != ship.Pass && got.Next == "" {
			t.Errorf("%s: error %v, next %q", name, got.Err(), got.Next)
		}
		if want := map[ship.Outcome]ship.Kind{ship.Wait: ship.Locked, ship.Fail: ship.Refused}[got.Outcome]; got.Kind != want {
			t.Errorf("%s: kind %q, want %q", name, got.Kind, want)
		}
	}
}

// A history is anything that may have served, newest first.
func history(t *rapid.T, name string) pipeline.History {
	var h pipeline.History
	minutes := 0
	for range rapid.IntRange(0, 5).Draw(t, name) {
		minutes += rapid.IntRange(0, 40).Draw(t, name+" minutes")
		d := deployed(rapid.IntRange(1, 3).Draw(t, name+" release"), minutes)
		d.Verb = rapid.SampledFrom([]string{ship.VerbDeploy, ship.VerbRollback}).Draw(t, name+" verb")
		h.Deployed = append(h.Deployed, d)
	}
	if rapid.Bool().Draw(t, name+" open") {
		h.Open = &ship.Run{ID: "d-9", Status: ship.Running, Request: wish(staging(0), rapid.IntRange(1, 3).Draw(t, name+" open release"))}
	}
	return h
}

func anything(t *rapid.T) (ship.Request, pipeline.Facts) {
	env := staging(time.Duration(rapid.IntRange(0, 60).Draw(t, "soak")) * time.Minute)
	if rapid.Bool().Draw(t, "frozen") {
		env.Freeze = []ship.Freeze{{From: "2026-11-24 11:00", To: "2026-11-24 12:30", Zone: "UTC", Reason: "x"}}
	}
	f := pipeline.Facts{Now: noon, Here: history(t, "here"), Below: history(t, "below")}
	if rapid.Bool().Draw(t, "locked") {
		f.Lock = &ship.Lock{By: "dana", Reason: "y"}
		if rapid.Bool().Draw(t, "for a time") {
			f.Lock.Until = noon.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "lock")) * time.Minute)
		}
	}
	return promotion(env, rapid.IntRange(1, 3).Draw(t, "release"), rapid.Bool().Draw(t, "auto")), f
}

// What says until when it waits does not wait for that any longer then: as time
// goes on and nothing else happens, a wish begins, fails, or waits for
// something else or somebody.
func TestAWaitThatNamesItsEndEndsThen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, f := anything(t)
		for range 4 {
			d := pipeline.Decide(w, f)
			if d.Until.IsZero() {
				return
			}
			if !d.Until.After(f.Now) {
				t.Fatalf("at %s it waits until %s", f.Now, d.Until)
			}
			f.Now = d.Until
			if f.Lock != nil && !f.Lock.Until.IsZero() && !f.Now.Before(f.Lock.Until) {
				f.Lock = nil // as the store sees it
			}
		}
		t.Fatalf("it waits a fifth time: %+v", pipeline.Decide(w, f))
	})
}

func TestTheWayBackIsNeverBarred(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, f := anything(t)
		w.Verb, w.From, w.Auto = ship.VerbRollback, "", false
		d := pipeline.Decide(w, f)
		if want := f.Here.Open == nil; want != (d.Outcome == ship.Pass) || !want && !d.Held {
			t.Fatalf("%+v", d)
		}
	})
}

func TestNothingBeginsThatWasNotProvenBelowOrWhileItIsBarred(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, f := anything(t)
		d := pipeline.Decide(w, f)
		if d.Outcome != ship.Pass {
			return
		}
		v := w.Release.Number
		stay, ok := pipeline.Served(f.Below.Deployed, v)
		frozen := pipeline.FrozenAt(w.Environment.Freeze, f.Now) != nil
		if !ok || stay.TakenBack || stay.Long(f.Now) < w.Environment.Soak || f.Lock != nil || frozen || f.Here.Open != nil || len(f.Here.Deployed) > 0 && f.Here.Deployed[0].Release == v {
			t.Fatalf("it begins: stay %+v %v, facts %+v", stay, ok, f)
		}
	})
}
