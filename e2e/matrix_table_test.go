package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
)

// afterShift are the steps that begin when the new release serves already.
var afterShift = []string{plan.Open, plan.Drain, plan.Watch, plan.Notify}

// beforeMigrated are the steps after which the migration is still to come, in
// the route that has it earliest.
var beforeMigrated = []string{plan.Preflight, plan.Prepare, plan.Inspect, plan.Gate, plan.Backup, plan.Hold, plan.Maintenance, plan.Migrate}

// expected returns the ends that a cell may have. Whatever is killed, a run
// passes. What is missing or broken for a while is waited for where nothing was
// decided yet, and otherwise ends the run before the swap with what served still
// serving; after the swap a run goes on with the new release unless that hangs.
func expected(c cell) []string {
	const passed = "passed"
	failed := string(ship.Failed)
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

// report writes the page with every cell.
func report(t *testing.T, done []*attempt, all bool) {
	ends := map[string]int{}
	lost, red := 0, 0
	for _, a := range done {
		ends[a.end]++
		lost += a.lost
		if len(a.problems) > 0 {
			red++
		}
	}
	t.Logf("%d cells: %v; %d requests under way lost, %d cells against what was expected", len(done), ends, lost, red)
	if !all {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# The crash matrix

Written by %[1]smake matrix%[1]s, which disturbs one deployment for each cell. The steps are those of a real plan, in its three routes; each has four moments:
before and after its intention is in the journal, after it acted, and after its end is in the journal. The program is built with failpoints
(%[1]sinternal/failpoint%[1]s), its processes are real, and users ask and order all the time. After each deployment the journal, the ledger, the migration tool's
table, the schema, the gate, the node's state and every request are compared. A cell has the ends of its four moments:
**p** passed, **f** failed before the swap with the old release serving, **m** the same at the migration, **u** the same because the database was unreachable,
**r** rolled back. What did not pass was deployed again undisturbed, and passed. **!** marks a moment where something was not as expected.

%[2]d deployments were disturbed. `, "`", len(done))
	var counts []string
	for _, end := range slices.Sorted(maps.Keys(ends)) {
		counts = append(counts, fmt.Sprintf("%d %s", ends[end], strings.ReplaceAll(end, "_", " ")))
	}
	fmt.Fprintf(&b, "Ends: %s. No step was applied twice, none was missing in %d of %d.\nRequests lost: %d, all of them under way when the process that had their connections was killed, or refused while the whole node was\ndown, or answered with 500 by the application while its database was away.\n",
		strings.Join(counts, ", "), len(done)-red, len(done), lost)
	table(&b, done)
	name := filepath.Join("..", "docs", "crash-matrix.md")
	if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// table writes a row for each step and a column for each fault.
func table(b *strings.Builder, done []*attempt) {
	b.WriteString("\n| step |")
	for _, f := range faults {
		b.WriteString(" " + f.name + " |")
	}
	b.WriteString("\n| --- |" + strings.Repeat(" --- |", len(faults)) + "\n")
	var steps []string
	cells := map[string]string{}
	for _, a := range done {
		step := a.cell.step
		if a.cell.route != "" {
			step += " (" + a.cell.route + ")"
		}
		if !slices.Contains(steps, step) {
			steps = append(steps, step)
		}
		mark := a.end[:1]
		if len(a.problems) > 0 {
			mark += "!"
		}
		cells[step+"/"+a.cell.fault.name] += mark + " "
	}
	for _, step := range steps {
		fmt.Fprintf(b, "| %s |", step)
		for _, f := range faults {
			b.WriteString(" " + strings.TrimSpace(cells[step+"/"+f.name]) + " |")
		}
		b.WriteString("\n")
	}
	lost := map[string]int{}
	for _, a := range done {
		lost[a.cell.fault.name] += a.lost
	}
	b.WriteString("| *requests lost* |")
	for _, f := range faults {
		fmt.Fprintf(b, " %d |", lost[f.name])
	}
	b.WriteString("\n")
}
