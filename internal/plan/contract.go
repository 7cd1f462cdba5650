package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// contract completes a plan that carries out the contracts of the release that
// serves: those whose conditions are met or, where a person overrides them, all.
func contract(f Facts, p ship.Plan) ship.Plan {
	if f.Listing == nil {
		p.Refused = &ship.Refusal{Kind: ship.Invalid, Reason: p.Environment.String() + " has no migrations", Hint: "shiplock config show"}
		return p
	}
	todo := pending(f.Listing)
	var open []ship.Migration
	for _, m := range todo {
		if m.Phase != ship.Contract {
			open = append(open, m)
		}
	}
	p.Waiting = Waits(f)
	if p.Refused = refusal(f, nil); p.Refused == nil {
		p.Refused = noBackup(f, todo)
	}
	if f.Request.Options.Override && strings.TrimSpace(f.Request.Reason) == "" {
		p.Refused = &ship.Refusal{Kind: ship.Invalid, Reason: "an override needs a reason", Hint: "--override --reason \"…\""}
	}
	if p.Refused == nil {
		p.Refused = mayNotContract(f, open, &p)
	}
	if p.Refused != nil {
		return p
	}
	p.Notes = append(contractNotes(f, p), notes(f, p.Migrations, "")...)
	s := step(Contract, fmt.Sprintf("%d to carry out: %s", len(p.Migrations), names(p.Migrations)),
		"the failed one is taken back, those before it stay; the release goes on serving", migrateTimeout(f, len(p.Migrations)))
	s.Params = params(ContractParams{IDs: ids(p.Migrations), Override: f.Request.Options.Override})
	if backsUp(f) {
		p.Steps = append(p.Steps, step(Backup, "what is taken away can be looked up again", "nothing was changed", 6*time.Hour))
	}
	p.Steps = append(p.Steps, s, step(Notify, "people hear how it ended, success or not", "the result stands; the failure to tell is noted", time.Minute))
	return p
}

func backsUp(f Facts) bool {
	return f.Request.Environment.Database.Backup.Kind != "none" && f.Request.Options.SkipBackup == ""
}

// mayNotContract fills in which contracts are carried out, or says why none is.
func mayNotContract(f Facts, open []ship.Migration, p *ship.Plan) *ship.Refusal {
	env := f.Request.Environment.ID.Name
	if len(p.Waiting) == 0 {
		return &ship.Refusal{Kind: ship.NotFound, Reason: fmt.Sprintf("no contract of %s waits in %s", called(f.Request.Release), f.Request.Environment.ID), Hint: "shiplock migrate status " + env}
	}
	var held []ship.Migration
	var why []string
	fixed := false // a condition is among them that nobody passes by
	for _, w := range p.Waiting {
		unmet, never := Unmet(w, f.Request.Options.Override)
		for _, m := range append(slices.Clone(open), held...) {
			if buildsOn(f.Listing, w.Migration, m, dialectOf(f)) {
				unmet = append(unmet, fmt.Sprintf("%s, which it builds on, is not applied", m.ID))
				never = true
			}
		}
		if len(unmet) == 0 {
			p.Migrations = append(p.Migrations, w.Migration)
			continue
		}
		fixed = fixed || never
		held = append(held, w.Migration)
		why = append(why, fmt.Sprintf("%s waits: %s", w.Migration.ID, strings.Join(unmet, "; ")))
	}
	if len(p.Migrations) == 0 {
		r := &ship.Refusal{Kind: ship.Refused, Reason: strings.Join(why, ". "), Hint: fmt.Sprintf("shiplock migrate contract %s --explain", env)}
		if !fixed {
			r.Hint += fmt.Sprintf("; whoever answers for it: shiplock migrate contract %s --override --reason \"…\"", env)
		}
		return r
	}
	p.Notes = append(p.Notes, why...)
	return nil
}

// Unmet lists the conditions that keep a contract from being carried out, a
// clause each. An override passes by those that are about time and about
// evidence; never tells that there is one among them that it does not.
func Unmet(w ship.Waiting, override bool) (why []string, never bool) {
	for _, c := range w.Conditions {
		if c.State == ship.Met || override && overridable(c.Name) {
			continue
		}
		text := fmt.Sprintf("%s is %s", c.Name, c.State)
		if c.State == ship.Unknown {
			text = c.Name + " cannot be known"
		}
		if text += ": " + c.Evidence; !c.At.IsZero() {
			text += ", it will be met at " + moment(c.At)
		}
		why = append(why, text)
		never = never || !overridable(c.Name)
	}
	return why, never
}

// overridable tells the conditions that a person may pass by. What runs and
// needs the old shape would break, and rows that are not filled would be lost:
// those are not among them.
func overridable(name string) bool { return name != Released && name != Backfilled }

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// contractNotes say what is passed by, and what cannot come back.
func contractNotes(f Facts, p ship.Plan) (all []string) {
	all = p.Notes
	for _, w := range p.Waiting {
		if !f.Request.Options.Override || !slices.ContainsFunc(p.Migrations, func(m ship.Migration) bool { return m.ID == w.Migration.ID }) {
			continue
		}
		for _, text := range passed(w) {
			all = append(all, fmt.Sprintf("%s is carried out although %s; overridden by %s: %s", w.Migration.ID, text, f.Request.By, f.Request.Reason))
		}
	}
	for _, s := range f.History {
		if !carries(s.Release, p.Migrations) {
			return append(all, fmt.Sprintf("v%d and what came before it cannot serve again on the schema after this", s.Release.Number))
		}
	}
	return all
}

// passed lists what an override passes by.
func passed(w ship.Waiting) []string {
	all, _ := Unmet(w, false)
	left, _ := Unmet(w, true)
	return slices.DeleteFunc(all, func(text string) bool { return slices.Contains(left, text) })
}
