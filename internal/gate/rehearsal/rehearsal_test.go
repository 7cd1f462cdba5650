package rehearsal_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/gate/gatetest"
	"github.com/shiplock/shiplock/internal/gate/rehearsal"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

func open(t *testing.T, cfg rehearsal.Config) *rehearsal.Gate {
	t.Helper()
	g, err := rehearsal.New(cfg, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func found(m ship.Rehearsed) gate.Candidate {
	return gate.Candidate{Name: "rehearsal", Rehearse: func(context.Context, gate.Rehearsing) (ship.Rehearsal, error) {
		return ship.Rehearsal{Probes: 9, Size: 1 << 20, Migrations: []ship.Rehearsed{m}}, nil
	}}
}

func TestGate(t *testing.T) {
	broken := ship.Rehearsed{Migration: "2", Broken: []ship.Breakage{{Probe: "select", Statement: "SELECT\n price FROM product", Code: "42703", Message: "column \"price\" does not exist"}}}
	gatetest.Run(t, gatetest.Harness{
		Pass: func(t *testing.T) (gate.Gate, gate.Candidate) {
			return open(t, rehearsal.Config{}), found(ship.Rehearsed{Migration: "1"})
		},
		Fail: func(t *testing.T) (gate.Gate, gate.Candidate) { return open(t, rehearsal.Config{}), found(broken) },
		Broken: func(t *testing.T) (gate.Gate, gate.Candidate) {
			return open(t, rehearsal.Config{}), gate.Candidate{Rehearse: func(context.Context, gate.Rehearsing) (ship.Rehearsal, error) {
				return ship.Rehearsal{}, errors.New("no room for a copy")
			}}
		},
	})
}

func TestWhatIsJudged(t *testing.T) {
	locked := ship.Rehearsed{Migration: "3", Effects: []ship.Effect{{HeldMS: 100, ProjectedMS: 60_000, Locks: []ship.TableLock{{Table: "product", Mode: "ACCESS EXCLUSIVE"}}}}}
	for name, c := range map[string]struct {
		cfg  rehearsal.Config
		m    ship.Rehearsed
		want ship.Outcome
		says string
	}{
		"a migration that fails":               {rehearsal.Config{}, ship.Rehearsed{Failed: "23514 few"}, ship.Fail, "23514"},
		"a lock that production would notice":  {rehearsal.Config{}, locked, ship.Fail, "ACCESS EXCLUSIVE on product for 1m0s"},
		"a lock that is allowed":               {rehearsal.Config{MaxLock: "2m"}, locked, ship.Pass, ""},
		"a lock nobody waits for":              {rehearsal.Config{}, ship.Rehearsed{Effects: []ship.Effect{{HeldMS: 9e6, Locks: []ship.TableLock{{Mode: "SHARE UPDATE EXCLUSIVE"}}}}}, ship.Pass, ""},
		"a migration that takes too long":      {rehearsal.Config{MaxTime: "1s"}, ship.Rehearsed{TookMS: 1500}, ship.Fail, "1.5s"},
		"a way down that is only told of":      {rehearsal.Config{}, ship.Rehearsed{Downgrade: ship.Downgrade{Outcome: ship.DowngradeFails}}, ship.Pass, "1 fails"},
		"a way down that has to be exact":      {rehearsal.Config{Downgrade: "exact"}, ship.Rehearsed{Downgrade: ship.Downgrade{Outcome: ship.DowngradeReordered}}, ship.Fail, "reordered"},
		"a way down that may reorder columns":  {rehearsal.Config{Downgrade: "reordered"}, ship.Rehearsed{Downgrade: ship.Downgrade{Outcome: ship.DowngradeReordered}}, ship.Pass, ""},
		"a breakage somebody decided to allow": {rehearsal.Config{AllowBroken: []string{"prepared select *"}}, ship.Rehearsed{Broken: []ship.Breakage{{Probe: "prepared select *"}}}, ship.Pass, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := open(t, c.cfg).Judge(t.Context(), found(c.m))
			if err != nil || v.Outcome != c.want || !strings.Contains(v.Reason, c.says) || v.Rehearsal == nil {
				t.Errorf("Judge() = %+v, %v; want %s with %q", v, err, c.want, c.says)
			}
		})
	}
}

func TestTheSmokeCheckOfTheReleaseThatServesCounts(t *testing.T) {
	broken := ship.Rehearsed{Migration: "2", Broken: []ship.Breakage{{Probe: "smoke", Statement: "GET /products/", Code: "500", Message: "500 on /products/"}}}
	for name, c := range map[string]struct {
		cfg  rehearsal.Config
		r    ship.Rehearsal
		want ship.Outcome
		says string
	}{
		"it passes":              {rehearsal.Config{}, ship.Rehearsal{Probes: 3, Migrations: []ship.Rehearsed{{}}, Smoke: &ship.Smoked{Outcome: ship.Pass}}, ship.Pass, "passed its smoke check"},
		"it breaks":              {rehearsal.Config{}, ship.Rehearsal{Probes: 3, Migrations: []ship.Rehearsed{broken}, Smoke: &ship.Smoked{Outcome: ship.Fail}}, ship.Fail, "(smoke) GET /products/"},
		"it may break":           {rehearsal.Config{AllowBroken: []string{"smoke"}}, ship.Rehearsal{Probes: 3, Migrations: []ship.Rehearsed{broken}, Smoke: &ship.Smoked{Outcome: ship.Fail}}, ship.Pass, "work afterwards"},
		"it did not pass before": {rehearsal.Config{}, ship.Rehearsal{Probes: 3, Migrations: []ship.Rehearsed{{}}, Smoke: &ship.Smoked{Outcome: ship.NoConclusion, Reason: "no answer"}}, ship.NoConclusion, "no answer"},
	} {
		v := open(t, c.cfg).Of(c.r)
		if v.Outcome != c.want || !strings.Contains(v.Reason, c.says) || c.says != "passed its smoke check" && strings.Contains(v.Reason, "passed its smoke check") {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestTheGateSaysWhatToCopy(t *testing.T) {
	for from, want := range map[string]string{"": "", "database": "", "backup": gate.FromBackup, "/var/backups/shop.backup": "/var/backups/shop.backup"} {
		var asked gate.Rehearsing
		_, err := open(t, rehearsal.Config{From: from, Smoke: true}).Judge(t.Context(), gate.Candidate{Rehearse: func(_ context.Context, how gate.Rehearsing) (ship.Rehearsal, error) {
			asked = how
			return ship.Rehearsal{}, nil
		}})
		if err != nil || asked.From != want || !asked.Smoke {
			t.Errorf("from %q asks for %+v, %v", from, asked, err)
		}
	}
}

func TestNothingThatWorkedBeforeProvesNothing(t *testing.T) {
	v := open(t, rehearsal.Config{}).Of(ship.Rehearsal{Unfit: 7, Migrations: []ship.Rehearsed{{Migration: "1"}}})
	if v.Outcome != ship.NoConclusion {
		t.Errorf("%+v", v)
	}
}

func TestSettingsThatMeanNothingAreRefused(t *testing.T) {
	for _, cfg := range []rehearsal.Config{{Downgrade: "maybe"}, {MaxLock: "soon"}, {MaxTime: "-1s"}, {From: "backups/shop"}} {
		if _, err := rehearsal.New(cfg, plugin.Deps{}); ship.KindOf(err) != ship.Invalid {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
