package plan_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// facts of a shop whose v1 serves and whose v2 is to be deployed.
func facts(change func(*plan.Facts)) plan.Facts {
	env := ship.Environment{
		ID:       ship.EnvironmentID{App: "shop", Name: "production"},
		Platform: ship.Plugin{Kind: "process"},
		Run:      ship.RunSettings{Processes: map[string]ship.Process{ship.Web: {Instances: 2}}},
		Health:   ship.Health{Path: "/healthz", HealthyAfter: 3, GiveUp: 40 * time.Second},
		Warmup:   []string{"/"},
		Smoke:    []string{"/products"},
		Database: &ship.Database{Kind: "postgres", URL: "${secret:DATABASE_URL}", Backup: ship.Backup{Kind: "dump"}},
		Migrate:  &ship.Migrate{Tool: ship.Plugin{Kind: "sqlfiles"}, Timeout: 10 * time.Minute},
		Gates:    []ship.Gate{{Name: "unit", Timeout: time.Minute}},
		Watch:    ship.Limits{For: time.Hour, ErrorRate: 0.01, P95: 2 * time.Second},
		Drain:    30 * time.Second, Hold: 20 * time.Second,
	}
	f := plan.Facts{
		Request: ship.Request{Run: "d-7", Verb: ship.VerbDeploy, Environment: env, Release: ship.Release{App: "shop", Number: 2}},
		From:    &ship.Release{App: "shop", Number: 1},
		Can:     platform.Capabilities{Hold: true, Maintenance: true, KeepOld: true, Watch: true},
		Listing: &migrate.Listing{Migrations: []ship.Migration{
			{ID: "1_init", Applied: true, Reversible: true, Phase: ship.Expand},
			{ID: "2_vat", Reversible: true, Phase: ship.Expand},
		}},
	}
	change(&f)
	return f
}

func contract(f *plan.Facts) {
	m := &f.Listing.Migrations[1]
	m.Phase, m.Exact, m.Findings = ship.Contract, true, []string{"drops column price, which the running release reads"}
}

// goDown asks for the second migration to be taken back.
func goDown(f *plan.Facts) {
	f.Request.Verb, f.Request.Options.Down = ship.VerbMigrate, "2_vat"
	m := &f.Listing.Migrations[1]
	m.Applied, m.Exact, m.SQL = true, true, "CREATE TABLE vat (id int); ALTER TABLE orders ADD COLUMN vat int;"
	f.Counted = map[plan.Loss]string{{Migration: "2_vat", Table: "vat"}: "12 rows"}
}

func accept(route string) func(*plan.Facts) {
	return func(f *plan.Facts) { contract(f); f.Request.Options.Accept = route }
}

// fillings are one that was never begun, one that somebody paused, and one that
// is done.
var fillings = []plan.Backfilling{
	{Name: "backfills/1_vat.sql", Table: "orders"},
	{Name: "backfills/2_name.sql", Table: "users", Kept: database.Progress{Name: "backfills/2_name.sql", Status: database.FillPaused, Note: "paused by ann"}},
	{Name: "backfills/0_old.sql", Table: "orders", Kept: database.Progress{Name: "backfills/0_old.sql", Status: database.FillDone}},
}

var cases = map[string]func(*plan.Facts){
	"first-deployment":         func(f *plan.Facts) { f.From = nil },
	"additive-migration":       func(*plan.Facts) {},
	"no-migration":             func(f *plan.Facts) { f.Listing.Migrations[1].Applied = true },
	"without-database":         func(f *plan.Facts) { f.Listing = nil; f.Request.Environment.Database = nil },
	"incompatible-refused":     contract,
	"incompatible-hold":        accept("hold"),
	"incompatible-maintenance": accept("maintenance"),
	"hold-needs-a-way-down": func(f *plan.Facts) {
		accept("hold")(f)
		f.Listing.Migrations[1].Reversible, f.Listing.Migrations[1].WhyNot = false, "RunPython without reverse"
	},
	"hold-needs-an-exact-way-down": func(f *plan.Facts) { accept("hold")(f); f.Listing.Migrations[1].Exact = false },
	"hold-not-on-this-platform":    func(f *plan.Facts) { accept("hold")(f); f.Can.Hold = false },
	"rollback": func(f *plan.Facts) {
		f.Request.Verb = ship.VerbRollback
		f.Listing = &migrate.Listing{Migrations: f.Listing.Migrations[:1], Unknown: []string{"2_vat"}}
		f.Ledger = []ship.Record{{Migration: "2_vat", Phase: ship.Expand, Status: ship.RecordDone}}
	},
	"rollback-to-incompatible": func(f *plan.Facts) {
		f.Request.Verb = ship.VerbRollback
		f.Listing = &migrate.Listing{Migrations: f.Listing.Migrations[:1], Unknown: []string{"2_vat"}}
		f.Ledger = []ship.Record{{Migration: "2_vat", Phase: ship.Contract, Status: ship.RecordDone}}
	},
	"rollback-does-not-migrate": func(f *plan.Facts) { f.Request.Verb = ship.VerbRollback },
	"half-done-elsewhere": func(f *plan.Facts) {
		f.Unsettled = []string{"2_vat"}
		f.Ledger = []ship.Record{{Migration: "2_vat", Status: ship.RecordStarted, Run: "d-5", At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}}
	},
	"half-taken-back": func(f *plan.Facts) {
		f.Ledger = []ship.Record{{Migration: "1_init", Status: ship.RecordFailed, Statement: -2, Run: "d-5"}}
	},
	"edited-after-it-was-applied": func(f *plan.Facts) {
		f.Listing.Migrations[0].Checksum = "sha256:new"
		f.Ledger = []ship.Record{{Migration: "1_init", Checksum: "sha256:old", Status: ship.RecordDone, Run: "d-5"}}
	},
	"dirty":               func(f *plan.Facts) { f.Listing.Dirty = "schema_migrations says version 2 is dirty" },
	"no-backup-no-reason": func(f *plan.Facts) { f.Request.Environment.Database.Backup = ship.Backup{Kind: "none"} },
	"no-backup-by-choice": func(f *plan.Facts) { f.Request.Options.SkipBackup = "empty database" },
	"backfill":            func(f *plan.Facts) { f.Backfills = fillings },
	"backfill-of-its-own": func(f *plan.Facts) {
		f.Request.Verb, f.Request.Options.Backfill, f.Backfills = ship.VerbMigrate, plan.BackfillResume, fillings
	},
	"backfill-was-changed": func(f *plan.Facts) {
		f.Backfills = []plan.Backfilling{{Name: "backfills/1_vat.sql", Checksum: "sha256:new", Kept: database.Progress{Name: "backfills/1_vat.sql", Checksum: "sha256:old", Cursor: []string{"7"}, Run: "d-5"}}}
	},
	"backfill-not-in-a-rollback": func(f *plan.Facts) {
		f.Request.Verb, f.Backfills, f.Listing.Migrations[1].Applied = ship.VerbRollback, fillings, true
	},
	"migrate-only": func(f *plan.Facts) { f.Request.Verb = ship.VerbMigrate },
	"down":         func(f *plan.Facts) { goDown(f) },
	"down-has-no-way": func(f *plan.Facts) {
		goDown(f)
		f.Listing.Migrations[1].Reversible, f.Listing.Migrations[1].WhyNot = false, "no Down section"
	},
	"down-is-needed": func(f *plan.Facts) {
		goDown(f)
		f.From.Migrations = []ship.Migration{{ID: "2_vat"}}
		f.Ledger = []ship.Record{{Migration: "2_vat", Phase: ship.Expand, Status: ship.RecordDone}}
	},
	"down-is-needed-and-no-older-release-can-run": func(f *plan.Facts) {
		goDown(f)
		f.From.Migrations = []ship.Migration{{ID: "2_vat"}}
		f.Ledger = []ship.Record{{Migration: "2_vat", Phase: ship.Contract, Status: ship.RecordDone}}
	},
	"down-is-not-applied": func(f *plan.Facts) { goDown(f); f.Listing.Migrations[1].Applied = false },
	"down-builds-on-it":   func(f *plan.Facts) { goDown(f); f.Listing.Unknown = []string{"3_more"} },
	"contract-while-an-old-worker-runs": func(f *plan.Facts) {
		contract(f)
		f.Request.Verb = ship.VerbMigrate
		f.From.Migrations = []ship.Migration{{ID: "2_vat"}}
		f.Observed.Slots = map[ship.Slot]platform.SlotStatus{
			ship.Blue:  {Release: *f.From, Instances: []platform.Instance{{Process: ship.Web, State: "running"}}},
			ship.Green: {Release: ship.Release{Number: 7}, Instances: []platform.Instance{{Process: "worker", State: "backoff"}, {Process: ship.Web, State: "stopped"}}},
		}
	},
	"contract-everything-is-new": func(f *plan.Facts) {
		contract(f)
		f.Request.Verb = ship.VerbMigrate
		f.From.Migrations = []ship.Migration{{ID: "2_vat"}}
		f.Observed.Slots = map[ship.Slot]platform.SlotStatus{
			ship.Blue: {Release: *f.From, Instances: []platform.Instance{{Process: ship.Web, State: "running"}}},
		}
	},
	"settings-that-change": func(f *plan.Facts) { old := f.Request.Environment; old.Drain = time.Minute; f.FromSettings = &old },
}

func TestPlans(t *testing.T) {
	for name, change := range withPhases(cases) {
		t.Run(name, func(t *testing.T) {
			got := render(plan.Build(facts(change)))
			path := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("plan differs (-want +got):\n%s", diff)
			}
		})
	}
}

func render(p ship.Plan) string {
	var b strings.Builder
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "%-12s %s\n%12s ✗ %s\n", s.Name, s.Reason, "", s.OnFail)
		if len(s.Params) > 0 {
			fmt.Fprintf(&b, "%12s   %s\n", "", s.Params)
		}
	}
	for _, c := range p.Settings {
		fmt.Fprintf(&b, "setting %s: %s → %s\n", c.Name, c.From, c.To)
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	for _, w := range p.Waiting {
		fmt.Fprintf(&b, "waiting: %s\n", w.Migration.ID)
		for _, c := range w.Conditions {
			fmt.Fprintf(&b, "  %-11s %-7s %s", c.Name, c.State, c.Evidence)
			if !c.At.IsZero() {
				fmt.Fprintf(&b, " (at %s)", c.At.Format(time.DateTime))
			}
			fmt.Fprintf(&b, "%s\n", strings.TrimRight("  → "+c.Next, "→ "))
		}
	}
	if r := p.Refused; r != nil {
		fmt.Fprintf(&b, "refused (%s): %s\nnext: %s\n", r.Kind, r.Reason, r.Hint)
	}
	return b.String()
}

func TestNothingThatServesIsTouchedBeforeEveryGateHasPassed(t *testing.T) {
	for name, change := range withPhases(cases) {
		p := plan.Build(facts(change))
		kinds := make([]string, len(p.Steps))
		for i, s := range p.Steps {
			kinds[i] = s.Kind
		}
		gate := slices.Index(kinds, plan.Gate)
		for _, k := range []string{plan.Hold, plan.Maintenance, plan.Backup, plan.Migrate, plan.Start, plan.Shift} {
			if at := slices.Index(kinds, k); at >= 0 && at < gate {
				t.Errorf("%s: %s comes before the gates: %v", name, k, kinds)
			}
		}
	}
}

func TestARefusedPlanHasNoStepThatChangesAnything(t *testing.T) {
	for name, change := range withPhases(cases) {
		p := plan.Build(facts(change))
		if p.Refused != nil && len(p.Steps) != len(plan.Opening()) {
			t.Errorf("%s is refused and has %d steps", name, len(p.Steps))
		}
	}
}

func TestAPlanSurvivesBeingStored(t *testing.T) {
	want := plan.Build(facts(accept("maintenance")))
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got ship.Plan
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("plan after a round trip (-want +got):\n%s", diff)
	}
}
