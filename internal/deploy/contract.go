package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// contractEvidence is what a contract step did, and on which conditions.
type contractEvidence struct {
	migrateEvidence
	Conditions []ship.Waiting `json:"conditions,omitempty"`
	Override   string         `json:"override,omitempty"` // who passed conditions by, and why
}

// doContract carries contracts out, one by one. Their conditions are looked at
// once more under the migration lock: a backup may have taken an hour, and an
// old release may have been started meanwhile.
func doContract(ctx context.Context, w *work) (string, any, error) {
	var p plan.ContractParams
	if err := w.params(&p); err != nil {
		return "", nil, err
	}
	m, end, err := w.beginMigration(ctx)
	if err != nil {
		return "", nil, err
	}
	defer end()
	found := contractEvidence{}
	if p.Override {
		found.Override = w.run.Request.By + ": " + w.run.Request.Reason
	}
	for i, id := range p.IDs {
		if err := w.cancelRequested(ctx); err != nil {
			return "", found, err
		}
		if err := m.stillMay(ctx, id, p.Override, &found); err != nil {
			return "", found, err
		}
		w.progress(ctx)(fmt.Sprintf("%s (%d of %d)", id, i+1, len(p.IDs)))
		err := m.contract(ctx, id)
		found.migrateEvidence = m.found
		if err := errors.Join(err, w.note(ctx, found)); err != nil {
			return "", found, err
		}
	}
	text := listed(found.Completed)
	if found.Override != "" {
		text += ", overridden by " + found.Override
	}
	return text, found, nil
}

// contract carries one out. What it takes away is there for the last time.
func (m *migration) contract(ctx context.Context, id string) error {
	return m.apply(ctx, id)
}

// stillMay refuses a contract whose conditions are not met any more. One that is
// done, or that an earlier attempt has begun, is for apply to bring to its end.
func (m *migration) stillMay(ctx context.Context, id string, override bool, found *contractEvidence) error {
	mig, rec, err := m.look(ctx, id)
	if err != nil || mig.Applied || rec != nil && rec.Run == m.w.run.ID {
		return err
	}
	f, err := m.w.facts(ctx)
	if err != nil {
		return fmt.Errorf("look at the conditions of %s: %w", id, err)
	}
	now := ship.Waiting{Migration: ship.Migration{ID: id}, Conditions: plan.Conditions(f, mig)}
	found.Conditions = append(found.Conditions, now)
	if why, _ := plan.Unmet(now, override); len(why) > 0 {
		return ship.Errorf(ship.Refused, fmt.Sprintf("shiplock migrate contract %s --explain", m.w.env().Name), "%s waits: %s", id, strings.Join(why, "; "))
	}
	all, _ := plan.Unmet(now, false)
	for _, text := range all {
		m.w.event(ctx, ship.EventNote, fmt.Sprintf("%s is carried out although %s; overridden by %s", id, text, found.Override), nil)
	}
	return nil
}

// waitingNotes say in the result of a run what it left for later.
func (w *work) waitingNotes() (notes []string) {
	for _, x := range w.run.Plan.Waiting {
		if !w.run.Request.Options.Contract {
			notes = append(notes, fmt.Sprintf("%s waits for a run of its own: shiplock migrate contract %s --explain", x.Migration.ID, w.env().Name))
		}
	}
	return notes
}

// contractFacts gathers what is to be known of the contracts that are pending:
// which columns they take that rows cannot be written without and, where it is
// asked for, the evidence of their conditions.
func (w *work) contractFacts(ctx context.Context, f *plan.Facts, evidence bool) error {
	var all []ship.Migration
	for _, m := range f.Listing.Migrations {
		if !m.Applied && m.Phase == ship.Contract {
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		return nil
	}
	if err := w.required(ctx, f, all); err != nil || !evidence {
		return err
	}
	f.Now = time.Now()
	if err := w.served(ctx, f); err != nil {
		return err
	}
	f.Needed = map[string]plan.Needed{}
	for i := range all {
		f.Needed[all[i].ID] = w.needed(ctx, all[:i+1])
	}
	f.Usage = w.usage(ctx, all)
	return nil
}

func (w *work) dialect() sqltext.Dialect {
	return sqltext.Dialect(w.run.Request.Environment.Database.Kind)
}

func (w *work) required(ctx context.Context, f *plan.Facts, all []ship.Migration) error {
	s, ok := w.db.(database.Shaper)
	if !ok {
		return nil
	}
	var columns []database.Piece
	for _, m := range all {
		for _, t := range plan.Takes(m, w.dialect()).Taken {
			if p := (database.Piece{Kind: "column", Table: t.Table, Column: t.Column}); t.Column != "" && !slices.Contains(columns, p) {
				columns = append(columns, p)
			}
		}
	}
	var err error
	if f.Required, err = s.Required(ctx, columns); err != nil {
		return fmt.Errorf("find columns that have to be written: %w", err)
	}
	return nil
}

// served fills in what came to serve, and when. A release that is no longer
// there is one nobody knows to have a migration.
func (w *work) served(ctx context.Context, f *plan.Facts) error {
	deployed, err := w.e.Journal.DeployedIn(ctx, w.env())
	if err != nil {
		return err
	}
	known := map[int]ship.Release{}
	for _, d := range deployed {
		r, ok := known[d.Release]
		if !ok {
			if r, err = w.e.Journal.Release(ctx, w.env().App, d.Release); ship.KindOf(err) == ship.NotFound {
				r = ship.Release{App: w.env().App, Number: d.Release}
			} else if err != nil {
				return err
			}
			known[d.Release] = r
		}
		f.History = append(f.History, plan.Served{Release: r, At: d.At})
	}
	return nil
}

// needed asks the database what needs what the last of some contracts takes
// away, but for what it and those before it drop themselves: it is asked again
// when they have.
func (w *work) needed(ctx context.Context, upTo []ship.Migration) plan.Needed {
	m := upTo[len(upTo)-1]
	s, ok := w.db.(database.Shaper)
	if !ok {
		return plan.Needed{Missing: "this kind of database does not say what needs what"}
	}
	parts := plan.Pieces(m, w.dialect())
	if len(parts) == 0 && m.SQL == "" {
		return plan.Needed{Missing: "its tool shows no SQL: what it takes away is not known"}
	}
	all, err := s.Dependents(ctx, parts)
	if err != nil {
		return plan.Needed{Missing: w.mask.String(err.Error())}
	}
	gone := map[string]bool{}
	for _, x := range upTo {
		maps.Copy(gone, dropped(x.SQL, w.dialect()))
	}
	all = slices.DeleteFunc(all, func(d database.Dependent) bool { return gone[dependent(d)] })
	return plan.Needed{All: all}
}

// dependent names a dependent as dropped does.
func dependent(d database.Dependent) string {
	name, _, _ := strings.Cut(d.Name, " of ")
	name, _, _ = strings.Cut(name, "(")
	switch d.Kind {
	case "foreign key":
		return "constraint " + unqualified(name)
	case "generated column", "column", "default of":
		if at := strings.LastIndex(name, "."); at >= 0 {
			return "column " + unqualified(name[:at]) + "." + unqualified(name)
		}
	}
	return unqualified(name)
}

func unqualified(name string) string {
	name = strings.ReplaceAll(name, `"`, "")
	return strings.ToLower(name[strings.LastIndex(name, ".")+1:])
}

// dropped returns the names of what a text drops: of an object alone, and
// "constraint k" and "column t.c".
func dropped(text string, d sqltext.Dialect) map[string]bool {
	all, err := sqltext.Split(text, d)
	if err != nil {
		return nil
	}
	gone := map[string]bool{}
	for _, s := range all {
		t := s.Tree(d)
		for _, name := range t.Names {
			if t.Verb == "DROP" {
				gone[unqualified(name)] = true
			}
			for _, p := range t.Parts {
				switch p.Verb {
				case "DROP CONSTRAINT":
					gone["constraint "+unqualified(p.Name)] = true
				case "DROP COLUMN":
					gone["column "+unqualified(name)+"."+unqualified(p.Name)] = true
				}
			}
		}
	}
	return gone
}
