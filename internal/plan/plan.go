// Package plan decides what a run will do. It is pure: settings and observed
// facts in, ordered steps with their reasons out. It does no input or output,
// and nothing it decides happens here.
package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// Facts are what a plan is made of: the request and what was observed.
type Facts struct {
	Request      ship.Request
	From         *ship.Release     // what serves now, nil when nothing does
	FromSettings *ship.Environment // what it was deployed with
	Observed     platform.Observation
	Can          platform.Capabilities
	Listing      *migrate.Listing // nil without migrations
	Ledger       []ship.Record
	Unsettled    []string        // begun by another run, and nobody can tell how they ended
	Backfills    []Backfilling   // those of the release
	Counted      map[Loss]string // how much there is of what would be lost: "12 rows"

	// For contracts.
	Required []database.Piece // columns that pending contracts take and without which no row can be written
	Now      time.Time
	History  []Served          // newest first
	Usage    map[string]Usage  // by contract, where statements are counted
	Needed   map[string]Needed // by contract
}

// The kinds of steps, which are also their names but for gates.
const (
	Preflight   = "preflight"
	Prepare     = "prepare"
	Inspect     = "inspect"
	Gate        = "gate"
	Backup      = "backup"
	Hold        = "hold"
	Maintenance = "maintenance"
	Migrate     = "migrate"
	Down        = "down"
	Contract    = "contract"
	Start       = "start"
	Health      = "health"
	Warmup      = "warmup"
	Smoke       = "smoke"
	Shift       = "shift"
	Open        = "open"
	Watch       = "watch"
	Drain       = "drain"
	Backfill    = "backfill"
	Notify      = "notify"
)

// Opening returns the steps every run begins with. The rest is decided by
// [Build] when Inspect has seen the prepared release and the database; none of
// the opening steps changes what serves.
func Opening() []ship.Step {
	return []ship.Step{
		step(Preflight, "nothing is begun that cannot be finished", "nothing was changed", time.Minute),
		step(Prepare, "the release is unpacked and its environment built in a folder of its own", "nothing was changed; the old release serves", time.Hour),
		step(Inspect, "what the migrations will do is known before anything is changed", "nothing was changed; the old release serves", 10*time.Minute),
	}
}

func step(kind, reason, onFail string, timeout time.Duration) ship.Step {
	return ship.Step{Name: kind, Kind: kind, Version: 1, Reason: reason, OnFail: onFail, Timeout: timeout}
}

// Build returns the whole plan, the opening steps included. A plan that may not
// be carried out has Refused set and the opening steps only.
func Build(f Facts) ship.Plan {
	env := f.Request.Environment
	p := ship.Plan{
		Schema: ship.PlanSchema, Environment: env.ID, Verb: f.Request.Verb,
		From: f.From, To: f.Request.Release, Steps: Opening(),
		Settings: changes(f.FromSettings, &env),
	}
	if f.Request.Options.Down != "" {
		return down(f, p)
	}
	if f.Request.Options.Contract && migratesOnly(f) {
		return contract(f, p)
	}
	if f.Request.Options.Backfill != "" {
		f.Listing, f.Request.Environment.Gates = nil, nil // the release passed them, and its migrations are not asked for
	}
	var cut Phases
	if f.Listing != nil {
		cut = phases(f, pending(f.Listing))
	}
	p.Migrations = cut.Now
	for _, m := range cut.Waits {
		p.Waiting = append(p.Waiting, ship.Waiting{Migration: m})
	}
	for _, refuses := range []func() *ship.Refusal{
		func() *ship.Refusal { return refusal(f, p.Migrations) },
		func() *ship.Refusal { return noBackup(f, p.Migrations) },
		func() *ship.Refusal { return backfillsChanged(f) },
		func() *ship.Refusal { return blocked(f, cut) },
	} {
		if p.Refused = refuses(); p.Refused != nil {
			return p
		}
	}
	route, why := route(f, cut)
	if why == nil {
		why = gatesRefused(f, route)
	}
	if why != nil {
		p.Refused = why
		return p
	}
	p.Notes = append(notes(f, p.Migrations, route), waitNotes(f, cut)...)
	p.Notes = append(p.Notes, pausedNotes(f)...)
	p.Notes = append(p.Notes, gateNotes(f)...)
	p.Steps = append(p.Steps, middle(f, p.Migrations, route)...)
	return p
}

// Migrates tells whether a verb changes the schema only.
func migratesOnly(f Facts) bool { return f.Request.Verb == ship.VerbMigrate }

func pending(l *migrate.Listing) []ship.Migration {
	var out []ship.Migration
	for _, m := range l.Migrations {
		if !m.Applied {
			out = append(out, m)
		}
	}
	return out
}

// middle orders the steps after Inspect. In the ordinary route the old release
// serves until the shift and every migration is one it can live with. In the
// other two no request reaches the database while the schema changes.
func middle(f Facts, todo []ship.Migration, route string) []ship.Step {
	s := gates(f, false)
	switch {
	case f.Request.Options.Backfill != "": // of the release that serves
	case migratesOnly(f):
		s = append(s, migrateSteps(f, todo, "")...)
	case route == "hold":
		s = append(s, holdSteps(f, todo)...)
	case route == "maintenance":
		s = append(s, maintenanceSteps(f, todo)...)
	default:
		s = append(s, migrateSteps(f, todo, "")...)
		s = append(s, startSteps(f)...)
		s = append(s, gates(f, true)...)
		s = append(s, shiftSteps(f, route)...)
	}
	s = append(s, backfillSteps(f)...)
	return append(s, step(Notify, "people hear how it ended, success or not", "the result stands; the failure to tell is noted", time.Minute))
}

func migrateSteps(f Facts, todo []ship.Migration, route string) []ship.Step {
	if len(todo) == 0 {
		return nil
	}
	onFail := "the failed migration is taken back; the old release serves"
	if route != "" {
		onFail = "what was migrated is taken back and the old release is opened again"
	}
	mig := step(Migrate, fmt.Sprintf("%d pending: %s", len(todo), names(todo)), onFail, migrateTimeout(f, len(todo)))
	mig.Params = params(MigrateParams{IDs: ids(todo), Revert: route != "" || f.Request.Options.RevertSchema, Restore: route == "maintenance"})
	steps := []ship.Step{mig}
	if b := f.Request.Environment.Database.Backup; b.Kind != "none" && f.Request.Options.SkipBackup == "" {
		steps = slices.Insert(steps, 0, step(Backup, "no backup, no migration", "nothing was changed; the old release serves", 6*time.Hour))
	}
	return steps
}

func migrateTimeout(f Facts, n int) time.Duration {
	each := time.Hour
	if m := f.Request.Environment.Migrate; m != nil && m.Timeout > 0 {
		each = m.Timeout
	}
	return each*time.Duration(n) + 5*time.Minute
}

func startSteps(f Facts) []ship.Step {
	env := f.Request.Environment
	const kept = "the candidate and its logs are kept for study; the old release serves"
	s := []ship.Step{step(Start, "the release starts in the idle slot", kept, 10*time.Minute)}
	if env.Run.Processes[ship.Web].Instances == 0 {
		return s
	}
	h := step(Health, fmt.Sprintf("%s answers well %d times in a row", env.Health.Path, env.Health.HealthyAfter), kept, env.Health.GiveUp+10*time.Second)
	s = append(s, h)
	if len(env.Warmup) > 0 {
		s = append(s, step(Warmup, "the first users do not meet a cold release", kept, 3*time.Minute))
	}
	if len(env.Smoke) > 0 {
		s = append(s, step(Smoke, "what users need answers before they are sent there", kept, time.Minute))
	}
	return s
}

func shiftSteps(f Facts, route string) []ship.Step {
	env := f.Request.Environment
	sh := step(Shift, "every request from now on goes to the new release", "traffic goes back to the old release", time.Minute)
	p := ShiftParams{Watch: env.Watch, Stages: env.Stages}
	after := "traffic goes back to the old release"
	switch {
	case f.From == nil:
		p.Watch = ship.Limits{} // there is nothing that could take over again
	case route != "":
		p.NoWayBack = fmt.Sprintf("v%d cannot run on the schema as it is now", f.From.Number)
		after = "the run is held for a person: " + p.NoWayBack
	}
	if p.Watch.For == 0 || route != "" {
		p.Stages = nil // nobody would see how they go; or only one of the releases can run
	}
	var staged time.Duration
	for _, stage := range p.Stages {
		staged += stage.For
	}
	if len(p.Stages) > 0 {
		sh.Reason = fmt.Sprintf("%g %% of the requests go to the new release, and in %d steps all of them", p.Stages[0].Percent, len(p.Stages))
	}
	sh.Params = params(p)
	s := []ship.Step{sh}
	if f.From != nil {
		s = append(s, step(Drain, "requests under way on the old release end by themselves", "they are cut at the deadline", staged+env.Drain+30*time.Second))
	}
	if p.Watch.For > 0 {
		s = append(s, step(Watch, watchReason(p.Watch), after, p.Watch.Longest()+time.Minute))
	}
	return s
}

func watchReason(l ship.Limits) string {
	parts := []string{"process exits", "health"}
	if l.ErrorRate > 0 {
		parts = append(parts, fmt.Sprintf("errors ≤ %g %%", l.ErrorRate*100))
	}
	if l.P95 > 0 {
		parts = append(parts, fmt.Sprintf("p95 ≤ %s", l.P95))
	}
	return fmt.Sprintf("guarded for %s: %s", l.For, strings.Join(parts, ", "))
}

// holdSteps start the candidate before requests are held, so that the hold
// lasts only as long as the migration and the answer that the release is well.
func holdSteps(f Facts, todo []ship.Migration) []ship.Step {
	budget := f.Request.Environment.Hold
	s := []ship.Step{step(Start, "the release starts before requests are held, so that the hold is short", "the candidate and its logs are kept for study; the old release serves", 10*time.Minute)}
	if b := backupOf(migrateSteps(f, todo, "hold")); b != nil {
		s = append(s, *b)
	}
	s = append(s, step(Hold, fmt.Sprintf("requests wait at the proxy, at most %s, while the schema changes", budget), "the queue is let go; the old release serves", budget+10*time.Second))
	mig := migrateOf(migrateSteps(f, todo, "hold"))
	s = append(s, mig)
	health := startSteps(f)[1:2]
	s = append(s, health...)
	s = append(s, shiftSteps(f, "hold")[0], step(Open, "the held requests go to the new release", "the queue is let go", time.Minute))
	return append(s, shiftSteps(f, "hold")[1:]...)
}

func maintenanceSteps(f Facts, todo []ship.Migration) []ship.Step {
	s := []ship.Step{step(Maintenance, "writes are closed before the backup, so that a restore loses nothing", "the old release is opened again", 5*time.Minute)}
	s = append(s, migrateSteps(f, todo, "maintenance")...)
	s = append(s, startSteps(f)...)
	s = append(s, gates(f, true)...)
	sh := shiftSteps(f, "maintenance")
	s = append(s, sh[0], step(Open, "the site is opened on the new release", "the maintenance page stays", time.Minute))
	return append(s, sh[1:]...)
}

func backupOf(steps []ship.Step) *ship.Step {
	if len(steps) == 2 {
		return &steps[0]
	}
	return nil
}

func migrateOf(steps []ship.Step) ship.Step { return steps[len(steps)-1] }

func names(ms []ship.Migration) string {
	list := ids(ms)
	if len(list) > 3 {
		return strings.Join(list[:3], ", ") + fmt.Sprintf(" and %d more", len(list)-3)
	}
	return strings.Join(list, ", ")
}

func ids(ms []ship.Migration) []string {
	out := make([]string, len(ms))
	for i, m := range ms {
		out[i] = m.ID
	}
	return out
}
