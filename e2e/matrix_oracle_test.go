package e2e

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/load"
	"github.com/shiplock/shiplock/internal/ship"
)

// An excuse is a time in which requests may fail in certain ways.
type excuse struct {
	from, to time.Time
	classes  []string
}

func (a *attempt) excuse(from, to time.Time, classes ...string) {
	const slack = 50 * time.Millisecond // between what happened and our note of it
	a.u.mu.Lock()
	defer a.u.mu.Unlock()
	a.u.excuses = append(a.u.excuses, excuse{from.Add(-slack), to.Add(slack), classes})
}

// covers tells whether a request was under way then, and failed in such a way.
func (e excuse) covers(l load.Answer) bool {
	return !l.At.After(e.to) && !l.At.Add(l.Latency).Before(e.from) && slices.Contains(e.classes, l.Class)
}

// traffic complains of every request since the last attempt that was lost
// without an excuse.
func (a *attempt) traffic() {
	a.u.mu.Lock()
	lost := a.u.lost
	a.u.lost = nil
	a.u.mu.Unlock()
	for _, l := range lost {
		switch {
		case a.cell.way() == "maintenance" && l.Class == "503":
		case slices.ContainsFunc(a.u.excuses, func(e excuse) bool { return e.covers(l) }):
			a.lost++
		default:
			a.complain("lost %s %s at %s after %s: %s %s", l.Method, l.Path, l.At.Format("15:04:05.000"), l.Latency.Round(time.Millisecond), l.Class, l.Error)
		}
	}
}

// codes are the exit codes of the ends there may be.
var codes = map[string]int{
	"passed": 0, string(ship.Failed): 3, string(ship.RolledBack): 4, string(ship.GateFailed): 5, string(ship.Inconclusive): 7,
	string(ship.Unreachable): 9, string(ship.MigrationFailed): 10,
}

// judge compares what was said, what is recorded, what was done to the target
// database, and what the node does.
func (a *attempt) judge(e ended) {
	if e.Run == "" {
		a.end = "none"
		a.complain("nothing was said of a run (exit code %d): %s", e.code, tail(e.text, 3000))
		return
	}
	a.end = "passed"
	if e.Status != ship.Passed {
		a.end = string(e.Kind)
	}
	if e.Status == ship.Paused {
		a.end = "paused"
	}
	if want, known := codes[a.end]; !known || e.code != want {
		a.complain("%s with exit code %d: %s\n%s", a.end, e.code, e.Reason, tail(e.text, 3000))
	}
	if allowed := expected(a.cell); !slices.Contains(allowed, a.end) {
		a.complain("ended %s, expected %s: %s\n%s", a.end, strings.Join(allowed, " or "), e.Reason, tail(e.text, 6000))
	}
	serving, version := a.before, a.version
	if a.end == "passed" {
		serving, version = a.passedServes(), a.passedServes()
	}
	if e.Reason == "" || e.Serving != serving {
		a.complain("it says that v%d serves, want v%d: %q", e.Serving, serving, e.Reason)
	}
	if open := a.y.status().Open; open != nil {
		a.complain("run %s is still open: %s", open.ID, open.Status)
	}
	a.y.serves(version)
	if n := a.y.gatesRun()[fmt.Sprint(a.y.releases)]; !a.cell.alone() && n > 1 || n == 0 && a.end == "passed" {
		a.complain("the gate ran %d times", n)
	}
	a.journal(e)
	a.target(e)
	a.node(e)
}

// journal complains of steps without an end.
func (a *attempt) journal(e ended) {
	a.problems = append(a.problems, a.y.w.journal(e, a.end == "passed")...)
}

// A noted step is one as the journal has it.
type noted struct {
	name  string
	state ship.StepState
}

// noted returns the steps of a run that are in the journal, in order, and how
// many its plan has.
func (w *world) noted(run string) (all []noted, planned int) {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.data, "server", "shiplock.db")+"?mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("SELECT json_array_length(CAST(plan AS TEXT), '$.steps') FROM runs WHERE id = ?", run).Scan(&planned); err != nil {
		w.t.Fatalf("the plan of run %q: %v", run, err)
	}
	rows, err := db.Query("SELECT name, state FROM steps WHERE run = ? AND seq BETWEEN 0 AND ? ORDER BY seq", run, planned-1)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n noted
		if err := rows.Scan(&n.name, &n.state); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, n)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return all, planned
}

// journal says which steps of a run have no end in the journal.
func (w *world) journal(e ended, passed bool) (problems []string) {
	w.t.Helper()
	complain := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	steps, planned := w.noted(e.Run)
	failed := 0
	for _, s := range steps {
		switch s.state {
		case ship.StepDone, ship.StepUndone:
		case ship.StepFailed:
			failed++
		default:
			complain("step %s is %s in the journal", s.name, s.state)
		}
		if passed && s.state != ship.StepDone {
			complain("step %s is %s in the journal of a run that passed", s.name, s.state)
		}
	}
	if passed && len(steps) != planned || failed > 1 {
		complain("%d of %d steps are in the journal, %d failed", len(steps), planned, failed)
	}
	return problems
}

// target complains of migrations that are applied twice, or half, or not.
func (a *attempt) target(e ended) {
	n := a.y.releases
	var want []string
	for i := 1; i <= n; i++ {
		if i < n || (a.end == "passed" || e.Schema == ship.SchemaAhead) != (a.cell.route == "down") {
			want = append(want, fmt.Sprint(i))
		}
	}
	ledger := a.y.query("SELECT CAST(substr(migration, 2, 4) AS INTEGER) - 1000 || ' ' || status FROM _shiplock_migration WHERE migration LIKE '%mark%' ORDER BY migration")
	for i := range ledger {
		ledger[i] = strings.TrimSuffix(ledger[i], " done")
	}
	for what, got := range map[string][]string{
		"marks":         a.y.query("SELECT migration FROM marks ORDER BY rowid"),
		"goose's table": a.y.query("SELECT version_id - 1000 FROM goose_db_version WHERE version_id > 1000 AND is_applied ORDER BY id"),
		"the ledger":    ledger,
	} {
		if !slices.Equal(got, want) {
			a.complain("%s: %v, want %v", what, got, want)
		}
	}
	column := fmt.Sprintf("SELECT count(*) FROM pragma_table_info('products') WHERE name = 'm%d'", n)
	if a.cell.way() == "hold" || a.cell.way() == "maintenance" || a.cell.route == "contract" {
		column = fmt.Sprintf("SELECT count(*) FROM pragma_table_info('gauge') WHERE name = 'g%d'", n)
	}
	there := "0"
	if len(want) == n {
		there = "1"
	}
	if got := a.y.query(column); !slices.Equal(got, []string{there}) {
		a.complain("the column of release %d is there %v times, want %s", n, got, there)
	}
}

// node complains of a claim that was left, and of a node that disagrees.
func (a *attempt) node(e ended) {
	env, ok := a.nodeState().Environments[e.Environment.String()]
	switch {
	case !ok:
		a.complain("the node does not know %s", e.Environment)
	case len(env.Grant) > 0 && string(env.Grant) != "null":
		a.complain("the node still has the environment granted: %s", env.Grant)
	case a.end == "passed" && (env.Grantee != e.Run || env.ActiveRun != e.Run && !a.cell.alone()):
		a.complain("the node was last granted to %s and shifted by %s, not by %s", env.Grantee, env.ActiveRun, e.Run)
	}
}
