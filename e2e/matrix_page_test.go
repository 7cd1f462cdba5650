package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// An outcome is what is kept of an attempt.
type outcome struct {
	Route    string   `json:"route,omitempty"`
	Step     string   `json:"step"`
	Moment   string   `json:"moment"`
	Fault    string   `json:"fault"`
	End      string   `json:"end"`
	Lost     int      `json:"lost,omitempty"`
	Problems []string `json:"problems,omitempty"`
}

func (o outcome) String() string {
	return fmt.Sprintf("%s%s, %s %s", prefix(o.Route), o.Fault, o.Step, o.Moment)
}

// A book has the outcomes of a group, also those of one that was cut short. The
// matrix may then be carried out in parts.
type book struct {
	path string // "" is none
	done []outcome
}

// kept is where the book of a group lies.
func kept(group string) string {
	return filepath.Join("..", "bin", "matrix", strings.ReplaceAll(group, " ", "-")+".json")
}

// begin notes an attempt, whose test may not come back.
func (b *book) begin(a *attempt) {
	b.done = append(b.done, outcome{Route: a.cell.route, Step: a.cell.step, Moment: a.cell.moment, Fault: a.cell.fault.name, End: "none", Problems: []string{"the test gave up"}})
}

// end notes what became of it.
func (b *book) end(t *testing.T, a *attempt) {
	t.Helper()
	last := &b.done[len(b.done)-1]
	last.End, last.Lost, last.Problems = a.end, a.lost, a.problems
	if b.path == "" {
		return
	}
	data, err := json.MarshalIndent(b.done, "", " ")
	if err := errors.Join(err, os.MkdirAll(filepath.Dir(b.path), 0o755), os.WriteFile(b.path, data, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// readBook returns the outcomes of a group that was carried out before.
func readBook(t *testing.T, path string) (done []outcome) {
	t.Helper()
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := errors.Join(err, json.Unmarshal(data, &done)); err != nil {
		t.Fatal(err)
	}
	return done
}

// report counts, and writes the page with every cell.
func report(t *testing.T, done []outcome, all bool) {
	ends, lost := map[string]int{}, 0
	var red []outcome
	for _, o := range done {
		ends[o.End]++
		lost += o.Lost
		if len(o.Problems) > 0 {
			red = append(red, o)
		}
	}
	t.Logf("%d cells: %v; %d requests under way lost, %d cells against what was expected", len(done), ends, lost, len(red))
	if !all {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# The crash matrix

Written by %[1]smake matrix%[1]s, which disturbs one deployment for each cell. The steps are those of a real plan, in its three routes, a backfill among them,
in the way down of a single migration, and in a contract; then those that runs of each route take back when they fail. Each has four moments: before and after its intention is in the journal,
after it acted, and after its end is in the journal. The program is built with failpoints (%[1]sinternal/failpoint%[1]s), its processes are real, and users ask
and order all the time. After each deployment the journal, the ledger, the migration tool's table, the schema, the gate, the node's state and every request
are compared. A cell has the ends of its four moments: **p** passed, **f** failed before the swap with the old release serving, **m** the same at the
migration, **u** the same because the database was unreachable, **r** rolled back. What did not pass was deployed again undisturbed, and passed.
**!** marks a moment where something was not as expected.

%[2]d deployments were disturbed; in %[3]d of them no step was applied twice and none was missing, and nothing else was other than expected.
Requests lost: %[4]d, all of them under way when the process that had their connections was killed, or refused while the whole node was down, or
answered with 500 by the application while its database was away.
`, "`", len(done), len(done)-len(red), lost)
	summary(&b, done)
	table(&b, done)
	if len(red) > 0 {
		b.WriteString("\n## Not as expected\n\n")
	}
	for _, o := range red {
		first, _, _ := strings.Cut(o.Problems[0], "\n")
		fmt.Fprintf(&b, "* %s: %s\n", o, strings.ReplaceAll(first, "|", "\\|"))
	}
	if err := os.WriteFile(filepath.Join("..", "docs", "crash-matrix.md"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// summary writes a row for each fault.
func summary(b *strings.Builder, done []outcome) {
	b.WriteString("\n| fault | deployments | ends | requests lost | not as expected |\n| --- | ---: | --- | ---: | ---: |\n")
	for _, f := range faults {
		ends, n, lost, red := map[string]int{}, 0, 0, 0
		for _, o := range done {
			if o.Fault != f.name {
				continue
			}
			n++
			ends[o.End]++
			lost += o.Lost
			if len(o.Problems) > 0 {
				red++
			}
		}
		var counts []string
		for _, end := range slices.Sorted(maps.Keys(ends)) {
			counts = append(counts, fmt.Sprintf("%d %s", ends[end], strings.ReplaceAll(end, "_", " ")))
		}
		fmt.Fprintf(b, "| %s | %d | %s | %d | %d |\n", f.name, n, strings.Join(counts, ", "), lost, red)
	}
}

// table writes a row for each step and a column for each fault.
func table(b *strings.Builder, done []outcome) {
	b.WriteString("\n| step |")
	for _, f := range faults {
		b.WriteString(" " + f.name + " |")
	}
	b.WriteString("\n| --- |" + strings.Repeat(" --- |", len(faults)) + "\n")
	var steps []string
	cells := map[string]string{}
	for _, o := range done {
		step := o.Step
		if way := way(o.Route); way != "" {
			step += " (" + way + ")"
		}
		if !slices.Contains(steps, step) {
			steps = append(steps, step)
		}
		mark := o.End[:1]
		if len(o.Problems) > 0 {
			mark += "!"
		}
		cells[step+"/"+o.Fault] += mark + " "
	}
	for _, step := range steps {
		fmt.Fprintf(b, "| %s |", step)
		for _, f := range faults {
			b.WriteString(" " + strings.TrimSpace(cells[step+"/"+f.name]) + " |")
		}
		b.WriteString("\n")
	}
}
