package e2e

import (
	"fmt"
	"slices"
	"testing"

	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
)

// afterShift are the steps that begin when the new release serves already.
var afterShift = []string{plan.Open, plan.Drain, plan.Watch, plan.Backfill, plan.Notify}

// beforeMigrated are the steps after which the migration is still to come, in
// the route that has it earliest.
var beforeMigrated = []string{plan.Preflight, plan.Prepare, plan.Inspect, plan.Gate, plan.Backup, plan.Hold, plan.Maintenance, plan.Migrate, plan.Contract}

// expected returns the ends that a cell may have. Whatever is killed, a run
// passes. What is missing or broken for a while is waited for where nothing was
// decided yet, and otherwise ends the run before the swap with what served still
// serving; after the swap a run goes on with the new release unless that hangs.
func expected(c cell) []string {
	const passed = "passed"
	failed := string(ship.Failed)
	switch c.route { // nothing keeps a run from going back the whole way
	case "back":
		return []string{string(ship.RolledBack)}
	case "hold back", "maintenance back":
		return []string{failed}
	}
	after := slices.Contains(afterShift, c.kind()) || c.kind() == plan.Shift && (c.moment == "after-act" || c.moment == "after-done")
	switch c.fault.name {
	case "disk full", "fsync error":
		if !after {
			return []string{passed, failed}
		}
	case "database gone":
		switch {
		case after:
			return []string{passed, string(ship.RolledBack)}
		case slices.Contains(beforeMigrated, c.kind()):
			return []string{passed, failed, string(ship.Unreachable), string(ship.MigrationFailed)}
		}
		return []string{passed, failed}
	case "application hangs":
		if after {
			return []string{passed, string(ship.RolledBack)}
		}
		return []string{passed, failed, string(ship.RolledBack)}
	}
	return []string{passed}
}

// The short matrix is not to lose a fault or a moment when steps are added.
func TestTheSampleHasEveryFaultAtEveryMoment(t *testing.T) {
	const steps = 16 // of the ordinary route
	met := map[string]bool{}
	for _, g := range groups(false) {
		for i := range steps {
			before := len(met)
			for j, m := range moments {
				for k, f := range faults {
					if g.pick(i, j, k) {
						met[f.name], met[m], met[fmt.Sprint(i, m, f.name)] = true, true, true
					}
				}
			}
			if len(met) == before {
				t.Errorf("step %d meets nothing", i)
			}
		}
	}
	for _, m := range moments {
		if !met[m] {
			t.Errorf("nothing happens %s", m)
		}
	}
	for _, f := range faults {
		if !met[f.name] {
			t.Errorf("nothing meets %s", f.name)
		}
	}
}
