package deploy

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/lint/rules"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// drops lists what a migration drops and is to be copied aside first.
func (w *work) drops(ctx context.Context, mig ship.Migration) []ship.Drop {
	env := w.run.Request.Environment
	statements, found := w.dropsOf(mig)
	found = append(found, w.cascades(ctx, statements)...)
	if len(found) == 0 || env.Migrate.Trash.Off != "" || env.Migrate.Trash.Keep <= 0 {
		return nil
	}
	only, besides := w.onlyDrops(ctx, mig, statements)
	out := make([]ship.Drop, len(found))
	for i, d := range found {
		out[i] = ship.Drop{
			Migration: mig.ID, Table: d.Table, Column: d.Column, Stays: d.Stays, Only: only, Besides: besides,
			Until: time.Now().Add(env.Migrate.Trash.Keep).UTC(), MaxSize: env.Migrate.Trash.MaxSize,
		}
	}
	return out
}

// dropsOf reads what a migration drops. What cannot be read cannot be told;
// lint has said so.
func (w *work) dropsOf(mig ship.Migration) ([]sqltext.Statement, []sqltext.Drop) {
	statements, err := sqltext.Split(mig.SQL, w.dialect())
	if err != nil || w.run.Request.Environment.Migrate == nil {
		return nil, nil
	}
	return statements, sqltext.Drops(statements, w.dialect())
}

// cascades lists the columns that go with a type that is dropped with CASCADE.
func (w *work) cascades(ctx context.Context, statements []sqltext.Statement) (all []sqltext.Drop) {
	s, ok := w.db.(database.Shaper)
	if !ok {
		return nil
	}
	for _, st := range statements {
		t := st.Tree(w.dialect())
		if t.Verb != "DROP" || !t.Cascade || t.Object != "TYPE" && t.Object != "DOMAIN" {
			continue
		}
		for _, name := range t.Names {
			needs, err := s.Dependents(ctx, []database.Piece{{Kind: strings.ToLower(t.Object), Table: name}})
			if err != nil {
				continue // the contract's conditions say so
			}
			for _, d := range needs {
				column := strings.ReplaceAll(d.Name, `"`, "")
				if at := strings.LastIndex(column, "."); d.Kind == "column" && at > 0 {
					all = append(all, sqltext.Drop{Table: column[:at], Column: column[at+1:]})
				}
			}
		}
	}
	return all
}

// onlyDrops tells whether older releases can live with a migration but for its
// drops, and which indexes and constraints it drops besides: those have to
// come back with the rest.
func (w *work) onlyDrops(ctx context.Context, mig ship.Migration, statements []sqltext.Statement) (only bool, besides []string) {
	rest := mig
	rest.Declared, rest.SQL = "", ""
	if slices.ContainsFunc(mig.Operations, func(op string) bool { return op != "" && op[0] >= 'A' && op[0] <= 'Z' }) { // Django's
		for _, op := range mig.Operations {
			kind, _, _ := strings.Cut(op, " ")
			if !slices.Contains([]string{"RemoveField", "DeleteModel", "RemoveIndex", "AlterModelOptions", "AlterModelManagers", "CreateModel", "AddIndex"}, kind) {
				return false, nil
			}
		}
		return true, nil
	}
	for _, s := range statements {
		t := s.Tree(w.dialect())
		switch {
		case t.Verb == "DROP" && t.Object == "TABLE" && !t.Cascade, t.Verb == "COMMIT", t.Verb == "BEGIN":
		case t.Verb == "DROP" && t.Object == "INDEX":
			besides = append(besides, t.Names...)
		case t.Verb == "ALTER" && t.Object == "TABLE" && !slices.ContainsFunc(t.Parts, keeps):
			for _, p := range t.Parts {
				if p.Verb == "DROP CONSTRAINT" {
					besides = append(besides, p.Name)
				}
			}
		default:
			rest.SQL += s.SQL + ";\n"
		}
	}
	if rest.SQL == "" {
		return true, besides
	}
	linter, err := lint.New(rules.All())
	if err != nil {
		return false, besides
	}
	o, _ := w.lintOptions(ctx)
	return linter.Classify(rest, o).Phase != ship.Contract, besides
}

// keeps tells whether an action of ALTER TABLE is not one that only drops.
func keeps(p sqltext.Part) bool {
	return p.Verb != "DROP COLUMN" && p.Verb != "DROP CONSTRAINT" || p.Cascade
}
