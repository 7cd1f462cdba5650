package plan_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// dropsPrice makes the pending migration one that takes a column away.
func dropsPrice(f *plan.Facts) {
	contract(f)
	f.Listing.Migrations[1].SQL = "ALTER TABLE products DROP COLUMN price;"
	f.Request.Environment.Migrate.ContractAfter = 28 * 24 * time.Hour
}

var price = database.Piece{Kind: "column", Table: "products", Column: "price"}

// addsThird adds another pending migration behind it.
func addsThird(f *plan.Facts, sql string, needs ...string) {
	f.Listing.Migrations = append(f.Listing.Migrations, ship.Migration{ID: "3_total", Reversible: true, Phase: ship.Expand, SQL: sql, Needs: needs})
}

// contracting asks for the contract of v2, which serves since ten days.
func contracting(f *plan.Facts) {
	dropsPrice(f)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Request.Verb, f.Request.Options.Contract, f.Request.By, f.Now = ship.VerbMigrate, true, "ann", now
	f.From = &ship.Release{App: "shop", Number: 2, Migrations: []ship.Migration{{ID: "1_init"}, {ID: "2_vat"}}}
	f.History = []plan.Served{{Release: *f.From, At: now.AddDate(0, 0, -10)}, {Release: ship.Release{Number: 1, Migrations: []ship.Migration{{ID: "1_init"}}}, At: now.AddDate(0, 0, -90)}}
	f.Observed.Slots = map[ship.Slot]platform.SlotStatus{
		ship.Blue: {Release: *f.From, Instances: []platform.Instance{{Process: ship.Web, State: "running"}, {Process: "worker", State: "running"}}},
	}
	f.Needed = map[string]plan.Needed{"2_vat": {}}
	f.Usage = map[string]plan.Usage{"2_vat": {Since: now.AddDate(0, 0, -11), Counted: 214}}
}

// due lets the window pass.
func due(f *plan.Facts) {
	contracting(f)
	f.History[0].At, f.History[1].At = f.Now.AddDate(0, 0, -29), f.Now.AddDate(0, 0, -90)
	f.Usage["2_vat"] = plan.Usage{Since: f.Now.AddDate(0, 0, -40), Counted: 214}
}

func withPhases(all map[string]func(*plan.Facts)) map[string]func(*plan.Facts) {
	all = maps.Clone(all)
	if all == nil {
		all = map[string]func(*plan.Facts){}
	}
	maps.Copy(all, map[string]func(*plan.Facts){
		"contract-waits": dropsPrice,
		"contract-waits-although-everything-is-new": func(f *plan.Facts) {
			dropsPrice(f)
			f.From.Migrations = []ship.Migration{{ID: "2_vat"}}
		},
		"contract-waits-because-it-is-declared": func(f *plan.Facts) {
			contract(f)
			f.Listing.Migrations[1].Declared, f.Listing.Migrations[1].Reason = ship.Contract, "v2 reads amount"
			f.Listing.Migrations[1].SQL = "ALTER TABLE products RENAME COLUMN price TO amount;"
		},
		"contract-in-front-of-an-expand":    func(f *plan.Facts) { dropsPrice(f); addsThird(f, "ALTER TABLE orders ADD COLUMN total int;") },
		"contract-that-an-expand-builds-on": func(f *plan.Facts) { dropsPrice(f); addsThird(f, "ALTER TABLE products ADD COLUMN price numeric;") },
		"contract-that-an-expand-needs":     func(f *plan.Facts) { dropsPrice(f); addsThird(f, "CREATE TABLE t (id int);", "2_vat") },
		"contract-in-front-where-order-counts": func(f *plan.Facts) {
			dropsPrice(f)
			addsThird(f, "CREATE TABLE t (id int);")
			f.Listing.Ordered = true
			f.From.Migrations = []ship.Migration{{ID: "2_vat"}}
		},
		"contract-mixed-with-an-expand": func(f *plan.Facts) {
			dropsPrice(f)
			f.Listing.Migrations[1].SQL = "ALTER TABLE products ADD COLUMN amount int;\nALTER TABLE products DROP COLUMN price;"
		},
		"contract-of-a-required-column": func(f *plan.Facts) { dropsPrice(f); f.Required = []database.Piece{price} },
		"contract-of-a-column-that-is-relaxed-before": func(f *plan.Facts) {
			dropsPrice(f)
			f.Required = []database.Piece{price}
			addsThird(f, "ALTER TABLE products ALTER COLUMN price DROP NOT NULL;")
			f.Listing.Migrations[1], f.Listing.Migrations[2] = f.Listing.Migrations[2], f.Listing.Migrations[1]
			f.Listing.Migrations[2].ID, f.Listing.Migrations[1].ID = "3_vat", "2_relax"
		},
		"contract-accepted-now": func(f *plan.Facts) { dropsPrice(f); f.Request.Options.Accept = "hold" },
		"contract-in-an-empty-database": func(f *plan.Facts) {
			dropsPrice(f)
			f.From, f.Listing.Migrations[0].Applied = nil, false
		},
		"contract-in-a-first-migration-that-was-cut-off": func(f *plan.Facts) {
			dropsPrice(f)
			addsThird(f, "CREATE TABLE t (id int);", "2_vat")
			f.From = nil
		},
		"contract-where-nothing-is-seen-to-serve": func(f *plan.Facts) { dropsPrice(f); f.From = nil },
		"rollback-past-a-contract-that-waits": func(f *plan.Facts) {
			dropsPrice(f)
			f.Request.Verb = ship.VerbRollback
		},

		"gate-window":  contracting,
		"gate-due":     due,
		"gate-nothing": func(f *plan.Facts) { contracting(f); f.Listing.Migrations[1].Applied = true },
		"gate-overridden": func(f *plan.Facts) {
			contracting(f)
			f.Request.Options.Override, f.Request.Reason = true, "the column holds personal data"
		},
		"gate-old-release-still-runs": func(f *plan.Facts) {
			due(f)
			f.Request.Options.Override, f.Request.Reason = true, "it must go"
			f.Observed.Slots[ship.Green] = platform.SlotStatus{Release: ship.Release{Number: 1}, Instances: []platform.Instance{{Process: "worker", State: "running"}}}
		},
		"gate-old-release-serves": func(f *plan.Facts) {
			due(f)
			f.From = &ship.Release{Number: 1}
			f.History = append([]plan.Served{{Release: *f.From, At: f.Now.AddDate(0, 0, -1)}}, f.History...)
		},
		"gate-backfill-is-not-done": func(f *plan.Facts) { due(f); f.Backfills = fillings[:1] },
		"gate-used": func(f *plan.Facts) {
			due(f)
			f.Usage["2_vat"] = plan.Usage{Since: f.Now.AddDate(0, 0, -40), Counted: 214, Used: []plan.Use{{SQL: "SELECT price FROM products", Calls: 12, After: f.Now.AddDate(0, 0, -3), Until: f.Now.AddDate(0, 0, -2)}}}
		},
		"gate-usage-is-not-counted": func(f *plan.Facts) {
			due(f)
			f.Usage["2_vat"] = plan.Usage{Missing: "pg_stat_statements is not installed", Next: "CREATE EXTENSION pg_stat_statements"}
		},
		"gate-usage-is-counted-too-late": func(f *plan.Facts) { due(f); f.Usage["2_vat"] = plan.Usage{Since: f.Now.AddDate(0, 0, -5), Counted: 3} },
		"gate-needed": func(f *plan.Facts) {
			due(f)
			f.Needed["2_vat"] = plan.Needed{All: []database.Dependent{{Kind: "view", Name: "dear", On: price}, {Kind: "function", Name: "tax(integer)", On: price, Read: true}}}
		},
		"gate-no-history": func(f *plan.Facts) { due(f); f.History = nil },
	})
	return all
}

func TestAContractIsNeverAStepOfARunThatDeploys(t *testing.T) {
	for name, change := range withPhases(cases) {
		f := facts(change)
		p := plan.Build(f)
		for _, s := range p.Steps {
			if s.Kind == plan.Contract && !f.Request.Options.Contract {
				t.Errorf("%s has a step that contracts", name)
			}
		}
		for _, w := range p.Waiting {
			for _, m := range p.Migrations {
				if m.ID == w.Migration.ID && !f.Request.Options.Contract {
					t.Errorf("%s: %s waits and is carried out", name, m.ID)
				}
			}
		}
	}
}

func TestAnOverrideNeverPassesByWhatWouldBreakWhatRuns(t *testing.T) {
	for _, name := range []string{"gate-old-release-still-runs", "gate-old-release-serves", "gate-backfill-is-not-done"} {
		p := plan.Build(facts(func(f *plan.Facts) {
			withPhases(nil)[name](f)
			f.Request.Options.Override, f.Request.Reason = true, "it must go"
		}))
		if p.Refused == nil || strings.Contains(p.Refused.Hint, "--override") {
			t.Errorf("%s: %+v", name, p.Refused)
		}
	}
}
