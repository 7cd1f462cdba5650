package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// A Loss is something that is gone when a migration is taken back, because the
// migration made it.
type Loss struct {
	Migration string `json:"migration"`
	Table     string `json:"table"`
	Column    string `json:"column,omitempty"` // "" is all of the table
}

// Losses says what the way down of migrations takes away, as far as their SQL
// tells.
func Losses(ms []ship.Migration, dialect string) []Loss {
	var all []Loss
	for _, m := range ms {
		statements, err := sqltext.Split(m.SQL, sqltext.Dialect(dialect))
		if err != nil {
			continue // described by its operations instead
		}
		for _, s := range statements {
			h := s.Head(sqltext.Dialect(dialect))
			switch {
			case h.Verb == "CREATE" && h.Object == "TABLE" && len(h.Names) == 1 && !h.Temporary:
				all = append(all, Loss{Migration: m.ID, Table: h.Names[0]})
			case h.Verb == "ALTER" && h.Object == "TABLE" && len(h.Names) == 1:
				for _, a := range h.Actions {
					if a.Verb == "ADD COLUMN" {
						all = append(all, Loss{Migration: m.ID, Table: h.Names[0], Column: a.Column.Name})
					}
				}
			}
		}
	}
	return all
}

// TakenBack lists what has to be taken back for a migration to go, newest
// first: itself and what builds on it.
func TakenBack(l *migrate.Listing, id string) []ship.Migration {
	at := slices.IndexFunc(l.Migrations, func(x ship.Migration) bool { return x.ID == id && x.Applied })
	if at < 0 {
		return nil
	}
	gone := map[string]bool{id: true}
	var all []ship.Migration
	for _, x := range l.Migrations[at:] {
		builds := x.ID == id || len(x.Needs) == 0 || slices.ContainsFunc(x.Needs, func(n string) bool { return gone[n] })
		if x.Applied && builds {
			gone[x.ID] = true
			all = append(all, x)
		}
	}
	slices.Reverse(all)
	return all
}

// down completes a plan that takes migrations back.
func down(f Facts, p ship.Plan) ship.Plan {
	id := f.Request.Options.Down
	if f.Listing == nil {
		p.Refused = &ship.Refusal{Kind: ship.Invalid, Reason: p.Environment.String() + " has no migrations", Hint: "shiplock config show"}
		return p
	}
	p.Migrations = TakenBack(f.Listing, id)
	if p.Refused = mayNotGoDown(f, p.Migrations); p.Refused != nil {
		return p
	}
	p.Notes = lost(f, p.Migrations)
	back := step(Down, fmt.Sprintf("%d to take back: %s", len(p.Migrations), names(p.Migrations)), "those that were taken back stay so; nothing else is changed",
		migrateTimeout(f, len(p.Migrations)))
	order := ids(p.Migrations)
	slices.Reverse(order) // as they were applied
	back.Params = params(MigrateParams{IDs: order})
	if b := f.Request.Environment.Database.Backup; b.Kind != "none" && f.Request.Options.SkipBackup == "" {
		p.Steps = append(p.Steps, step(Backup, "what is taken away can be looked up again", "nothing was changed", 6*time.Hour))
	}
	p.Steps = append(p.Steps, back, step(Notify, "people hear how it ended, success or not", "the result stands; the failure to tell is noted", time.Minute))
	return p
}

// mayNotGoDown refuses all of it before the first step.
func mayNotGoDown(f Facts, back []ship.Migration) *ship.Refusal {
	env, id := f.Request.Environment.ID.Name, f.Request.Options.Down
	status := "shiplock migrate status " + env
	switch {
	case f.Listing.Dirty != "":
		return &ship.Refusal{Kind: ship.MigrationFailed, Reason: f.Listing.Dirty, Hint: status}
	case len(f.Listing.Problems) > 0:
		return &ship.Refusal{Kind: ship.MigrationFailed, Reason: strings.Join(f.Listing.Problems, "; "), Hint: status}
	case len(back) == 0:
		return &ship.Refusal{Kind: ship.NotFound, Reason: id + " is not applied", Hint: status}
	case len(f.Listing.Unknown) > 0:
		return &ship.Refusal{
			Kind:   ship.Refused,
			Reason: fmt.Sprintf("the database has %s, which %s does not know and which may build on %s", strings.Join(f.Listing.Unknown, ", "), called(f.Request.Release), id),
			Hint:   fmt.Sprintf("take that back first: shiplock migrate down %s %s", env, f.Listing.Unknown[0]),
		}
	}
	if r := halfDone(f); r != nil {
		return r
	}
	for _, m := range back {
		if !m.Reversible {
			return &ship.Refusal{
				Kind: ship.Refused, Reason: fmt.Sprintf("%s has no way down (%s); nothing was changed", m.ID, m.WhyNot),
				Hint: "write what should be different as a new migration, or put a backup back: shiplock backup ls " + env,
			}
		}
		if f.From != nil && carries(*f.From, []ship.Migration{m}) {
			return &ship.Refusal{
				Kind: ship.Refused, Reason: fmt.Sprintf("v%d, which serves, needs %s; nothing was changed", f.From.Number, m.ID),
				Hint: withoutIt(f, m.ID),
			}
		}
	}
	return nil
}

// lost says what is gone when migrations were taken back.
func lost(f Facts, back []ship.Migration) []string {
	var notes []string
	for _, m := range back {
		for _, l := range Losses([]ship.Migration{m}, f.Request.Environment.Database.Kind) {
			what := fmt.Sprintf("table %s and every row in it", l.Table)
			if l.Column != "" {
				what = fmt.Sprintf("column %s.%s and every value in it", l.Table, l.Column)
			}
			if n, known := f.Counted[l]; known {
				what += " (" + n + ")"
			}
			notes = append(notes, fmt.Sprintf("without %s, %s is gone", m.ID, what))
		}
		if m.SQL == "" && len(m.Operations) > 0 {
			notes = append(notes, fmt.Sprintf("%s is taken back: %s, with the data that is in what it made", m.ID, strings.Join(m.Operations, ", ")))
		}
		if !m.Exact {
			notes = append(notes, fmt.Sprintf("the way down of %s does not bring back the rows and values it removed or changed", m.ID))
		}
	}
	return notes
}

// withoutIt is what to do about a migration that the release which serves
// needs: an older one can serve only where the migration is one it can live with.
func withoutIt(f Facts, id string) string {
	env := f.Request.Environment.ID.Name
	for _, r := range f.Ledger {
		if r.Migration == id && (r.Phase == ship.Expand || r.Phase == ship.Backfill) {
			return "shiplock rollback " + env
		}
	}
	return "write a migration that undoes it, and deploy it: shiplock deploy " + env + " --accept hold|maintenance; or put a backup back: shiplock backup ls " + env
}
