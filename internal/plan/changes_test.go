package plan_test

import (
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestSettingsThatChangeAreWrittenAsPeopleWriteThem(t *testing.T) {
	before := ship.Environment{Gates: []ship.Gate{{Name: "unit", Timeout: time.Minute}}, Migrate: &ship.Migrate{Timeout: time.Minute}}
	after := before
	before.Watch.For, after.Watch.For = 5*time.Minute, 20*time.Second
	before.Proxy.MaxBody, after.Proxy.MaxBody = 1<<30, 1<<31
	facts := plan.Facts{Request: ship.Request{Verb: ship.VerbDeploy, Environment: after, Release: ship.Release{Number: 2}}, FromSettings: &before}
	got := map[string]string{}
	for _, c := range plan.Build(facts).Settings {
		got[c.Name] = c.From + " → " + c.To
	}
	if got["watch.for"] != "5m0s → 20s" || got["proxy.max_body"] != "1073741824 → 2147483648" || len(got) != 2 {
		t.Errorf("the settings that change: %v", got)
	}
}
