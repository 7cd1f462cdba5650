package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// refusal says why the request may not be carried out at all, or nil.
func refusal(f Facts, todo []ship.Migration) *ship.Refusal {
	req := f.Request
	if len(req.Environment.Stages) > 0 && !f.Can.Split {
		return &ship.Refusal{
			Kind: ship.Invalid, Reason: fmt.Sprintf("the platform of %s sends a share of the requests to no release", req.Environment.ID),
			Hint: "take stages out of shiplock.yaml",
		}
	}
	if f.Listing == nil {
		return nil
	}
	if f.Listing.Dirty != "" {
		return &ship.Refusal{Kind: ship.MigrationFailed, Reason: f.Listing.Dirty, Hint: "shiplock migrate status " + req.Environment.ID.Name}
	}
	if len(f.Listing.Problems) > 0 {
		return &ship.Refusal{Kind: ship.MigrationFailed, Reason: strings.Join(f.Listing.Problems, "; "), Hint: "shiplock migrate status " + req.Environment.ID.Name}
	}
	if r := halfDone(f); r != nil {
		return r
	}
	if r := halfBack(f); r != nil {
		return r
	}
	if r := edited(f); r != nil {
		return r
	}
	if r := tooNew(f); r != nil {
		return r
	}
	if req.Verb == ship.VerbRollback && len(todo) > 0 {
		return &ship.Refusal{
			Kind:   ship.Refused,
			Reason: fmt.Sprintf("v%d needs %d migrations that are not applied (%s); going back does not migrate", req.Release.Number, len(todo), names(todo)),
			Hint:   fmt.Sprintf("shiplock deploy %s --release v%d", req.Environment.ID.Name, req.Release.Number),
		}
	}
	return nil
}

func noBackup(f Facts, todo []ship.Migration) *ship.Refusal {
	if b := f.Request.Environment.Database; len(todo) > 0 && b.Backup.Kind == "none" && b.Backup.Reason == "" {
		return &ship.Refusal{
			Kind: ship.Invalid, Reason: "no backup, no migration: database.backup is none without a reason",
			Hint: "set database.backup.kind to dump, or give database.backup.reason",
		}
	}
	return nil
}

// halfDone finds a migration another run began and nobody knows the end of.
func halfDone(f Facts) *ship.Refusal {
	for _, r := range f.Ledger {
		if !slices.Contains(f.Unsettled, r.Migration) {
			continue
		}
		return &ship.Refusal{
			Kind:   ship.MigrationFailed,
			Reason: fmt.Sprintf("migration %s was begun by run %s at %s and nobody knows how it ended", r.Migration, r.Run, r.At.UTC().Format("2006-01-02 15:04:05")),
			Hint:   fmt.Sprintf("look at the database, then: shiplock migrate resolve %s %s --as applied|not-applied", f.Request.Environment.ID.Name, r.Migration),
		}
	}
	return nil
}

// halfBack finds a migration of the release whose way down was begun and did not
// come to its end: the database is neither with nor without it.
func halfBack(f Facts) *ship.Refusal {
	for _, r := range f.Ledger {
		has := slices.ContainsFunc(f.Listing.Migrations, func(m ship.Migration) bool { return m.ID == r.Migration })
		if r.Status == ship.RecordDone || r.Statement >= 0 || !has {
			continue
		}
		return &ship.Refusal{
			Kind:   ship.MigrationFailed,
			Reason: fmt.Sprintf("the way down of %s was begun by run %s, and %d of its statements are done: v%d cannot be sure of what it needs", r.Migration, r.Run, -1-r.Statement, f.Request.Release.Number),
			Hint:   fmt.Sprintf("take away what stopped it, then: shiplock migrate down %s %s", f.Request.Environment.ID.Name, r.Migration),
		}
	}
	return nil
}

// edited finds a migration whose file is not the one that was applied.
func edited(f Facts) *ship.Refusal {
	applied := map[string]ship.Record{}
	for _, r := range f.Ledger {
		if r.Status == ship.RecordDone {
			applied[r.Migration] = r
		}
	}
	for _, m := range f.Listing.Migrations {
		if r, ok := applied[m.ID]; ok && m.Applied && m.Checksum != "" && r.Checksum != m.Checksum {
			return &ship.Refusal{
				Kind:   ship.Refused,
				Reason: fmt.Sprintf("%s was changed after run %s applied it: what is in the database is not what v%d says", m.ID, r.Run, f.Request.Release.Number),
				Hint:   "put the file back as it was and write what is new as a migration of its own",
			}
		}
	}
	return nil
}

// tooNew refuses a release when the database has a migration the release does
// not know and that is not recorded as one it can live with.
func tooNew(f Facts) *ship.Refusal {
	expand := map[string]bool{}
	newest := ""
	for _, r := range f.Ledger {
		if r.Status == ship.RecordDone && (r.Phase == ship.Expand || r.Phase == ship.Backfill) {
			expand[r.Migration] = true
		}
	}
	var bad []string
	for _, id := range f.Listing.Unknown {
		if !expand[id] {
			bad = append(bad, id)
		}
	}
	if len(bad) == 0 {
		return nil
	}
	if f.From != nil {
		newest = fmt.Sprintf("; v%d, which serves now, can", f.From.Number)
	}
	hint := fmt.Sprintf("deploy a release that contains it, or take it back first: shiplock migrate down %s %s", f.Request.Environment.ID.Name, bad[0])
	if f.From != nil && slices.ContainsFunc(f.From.Migrations, func(m ship.Migration) bool { return m.ID == bad[0] }) {
		hint = withoutIt(f, bad[0]) // taking it back first would be refused: what serves needs it
	}
	return &ship.Refusal{
		Kind: ship.Refused,
		Reason: fmt.Sprintf("%s cannot run on this database: it has %s, which %[1]s does not know and which is not recorded as expand or backfill%[3]s",
			called(f.Request.Release), strings.Join(bad, ", "), newest),
		Hint: hint,
	}
}

// called names a release. One that no run started has no number.
func called(r ship.Release) string {
	if r.Number == 0 {
		return "the release in this folder"
	}
	return fmt.Sprintf("v%d", r.Number)
}

// route decides how migrations the running release cannot live with are
// carried out: "" when there are none, else what a person accepted.
func route(f Facts, p Phases) (string, *ship.Refusal) {
	bad := incompatible(p.Now)
	if len(bad) == 0 || f.From == nil {
		return "", nil
	}
	who := cannotLive(f, bad)
	if who == "" {
		return "", nil // everything that runs was made for the schema after them
	}
	accepted := f.Request.Options.Accept
	why := bad[0].ID
	if len(bad[0].Findings) > 0 {
		why += ": " + bad[0].Findings[0]
	}
	do := "make it compatible (expand now, contract later)"
	if cannot, known := p.Cannot[bad[0].ID]; known {
		why, do = strings.TrimSuffix(why, ".")+"; and it cannot wait: "+cannot.Why, cannot.Do
	}
	env := f.Request.Environment.ID.Name
	switch {
	case migratesOnly(f):
		return "", &ship.Refusal{
			Kind: ship.Refused, Reason: fmt.Sprintf("%s cannot live with %s", who, why),
			Hint: fmt.Sprintf("shiplock deploy %s --accept maintenance", env),
		}
	case accepted == "":
		return "", &ship.Refusal{
			Kind: ship.Refused, Reason: fmt.Sprintf("%s cannot live with %s", who, why),
			Hint: fmt.Sprintf("%s, or accept an interruption: shiplock deploy %s --accept hold|maintenance", do, env),
		}
	case accepted == "hold" && !f.Can.Hold, accepted == "maintenance" && !f.Can.Maintenance:
		return "", &ship.Refusal{Kind: ship.Refused, Reason: fmt.Sprintf("platform %s cannot do %s", f.Request.Environment.Platform.Kind, accepted), Hint: "shiplock plan " + env}
	case accepted == "hold":
		return "hold", mustBeReversible(bad, env)
	case f.Request.Environment.Database.Backup.Kind == "none":
		return "maintenance", mustBeReversible(bad, env)
	}
	return "maintenance", nil
}

// cannotLive names what runs and was made for the schema before the given
// migrations, or "": the release that serves, and every instance and worker
// besides that has not ended.
func cannotLive(f Facts, bad []ship.Migration) string {
	live := needing(f, bad)
	if f.From != nil && !carries(*f.From, bad) {
		who := fmt.Sprintf("v%d, which serves,", f.From.Number)
		if len(live) > 0 {
			texts := make([]string, len(live))
			for i, l := range live {
				texts[i] = l.String()
			}
			who = fmt.Sprintf("v%d, which serves (%s),", f.From.Number, strings.Join(texts, "; "))
		}
		return who
	}
	if len(live) > 0 {
		return fmt.Sprintf("%s (%s)", called(live[0].Release), live[0])
	}
	return ""
}

// mustBeReversible refuses a route that has no other way back than down steps.
func mustBeReversible(bad []ship.Migration, env string) *ship.Refusal {
	for _, m := range bad {
		if m.Reversible && !m.Exact {
			return &ship.Refusal{
				Kind:   ship.Refused,
				Reason: fmt.Sprintf("the way down of %s would not bring back the rows and values it removes or changes, so only a backup taken with writes closed could take it back", m.ID),
				Hint:   fmt.Sprintf("shiplock deploy %s --accept maintenance, with database.backup.kind: dump", env),
			}
		}
		if !m.Reversible {
			return &ship.Refusal{
				Kind:   ship.Refused,
				Reason: fmt.Sprintf("%s has no way down (%s), so only a backup taken with writes closed could take it back", m.ID, m.WhyNot),
				Hint:   fmt.Sprintf("shiplock deploy %s --accept maintenance, with database.backup.kind: dump", env),
			}
		}
	}
	return nil
}

func incompatible(ms []ship.Migration) []ship.Migration {
	var bad []ship.Migration
	for _, m := range ms {
		if m.Phase == ship.Contract {
			bad = append(bad, m)
		}
	}
	return bad
}

// notes are what a person should know and nobody has to decide.
func notes(f Facts, todo []ship.Migration, route string) []string {
	var n []string
	if f.From == nil {
		n = append(n, "first deployment: nothing serves yet, so nothing can take over if it goes wrong")
	}
	if f.Listing != nil && len(f.Listing.Unknown) > 0 {
		n = append(n, fmt.Sprintf("the database is ahead of v%d by %s, recorded as expand", f.Request.Release.Number, strings.Join(f.Listing.Unknown, ", ")))
	}
	if route != "" {
		n = append(n, "after the site is opened the old release cannot serve again without taking the schema back: no automatic rollback")
	}
	for _, m := range todo {
		if !m.Reversible {
			n = append(n, fmt.Sprintf("%s has no way down: %s", m.ID, m.WhyNot))
		}
	}
	if len(todo) > 0 && f.Request.Environment.Database.Backup.Kind == "none" {
		n = append(n, "no backup: "+f.Request.Environment.Database.Backup.Reason)
	}
	if len(todo) > 0 && f.Request.Options.SkipBackup != "" {
		n = append(n, "no backup: "+f.Request.Options.SkipBackup)
	}
	return n
}
