package alembic

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

// A listing is the script's answer to "list".
type listing struct {
	Heads, Unknown, Problems []string
	Revisions                []struct {
		ID, File, Checksum string
		Applied, Atomic    bool
		WhyNot, SQL        string
		Operations, Needs  []string
	}
}

// List returns every revision Alembic knows. alembic_version holds the newest
// revisions only: of a database at one that the release lacks, what else is
// applied is read from our own ledger.
func (t *Tool) List(ctx context.Context, p migrate.Project) (migrate.Listing, error) {
	files, err := t.Files(p.Tree)
	if err != nil {
		return migrate.Listing{}, err
	}
	var answer listing
	if err := t.ask(ctx, p, "list", "", &answer); err != nil {
		return migrate.Listing{}, err
	}
	l := migrate.Listing{Unknown: answer.Unknown, Problems: answer.Problems}
	for _, r := range answer.Revisions {
		m := ship.Migration{
			ID: r.ID, Checksum: r.Checksum, Applied: r.Applied, Atomic: r.Atomic,
			Reversible: r.WhyNot == "", WhyNot: r.WhyNot, SQL: r.SQL, Operations: r.Operations, Needs: r.Needs,
		}
		if i := slices.IndexFunc(files, func(f ship.Migration) bool { return f.ID == r.ID }); i >= 0 {
			m.File, m.Checksum, m.Declared, m.Reason = files[i].File, files[i].Checksum, files[i].Declared, files[i].Reason
		}
		l.Migrations = append(l.Migrations, m)
	}
	for _, f := range files {
		if slices.ContainsFunc(l.Migrations, func(m ship.Migration) bool { return m.ID == f.ID }) {
			continue
		}
		if len(answer.Revisions) > 0 {
			l.Problems = append(l.Problems, fmt.Sprintf("Alembic does not load %s", f.File))
		}
		l.Migrations = append(l.Migrations, f)
	}
	if len(l.Unknown) > 0 {
		err = fromLedger(ctx, p, &l)
	}
	return l, err
}

// fromLedger tells what of a release is applied in a database that is ahead of
// it, and what else is.
func fromLedger(ctx context.Context, p migrate.Project, l *migrate.Listing) error {
	done, err := recordedDone(ctx, p)
	if err != nil {
		return err
	}
	heads := strings.Join(l.Unknown, ", ")
	var pending []string
	for i := range l.Migrations {
		m := &l.Migrations[i]
		if !m.Applied && done[m.ID] {
			m.Applied, m.SQL = true, ""
		}
		if !m.Applied {
			pending = append(pending, m.ID)
		}
		delete(done, m.ID)
	}
	for id := range done {
		if !slices.Contains(l.Unknown, id) {
			l.Unknown = append(l.Unknown, id)
		}
	}
	slices.Sort(l.Unknown)
	if len(pending) > 0 {
		l.Problems = append(l.Problems, fmt.Sprintf("the database is at %s, of which the release has no file, so that Alembic cannot tell whether %s is applied and refuses to go on",
			heads, strings.Join(pending, ", ")))
	}
	return nil
}

// recordedDone returns the revisions our ledger has as done.
func recordedDone(ctx context.Context, p migrate.Project) (map[string]bool, error) {
	done := map[string]bool{}
	if p.Session == nil {
		return done, nil
	}
	records, err := p.Session.Ledger(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	for _, r := range records {
		if r.Status == ship.RecordDone {
			done[r.Migration] = true
		}
	}
	return done, nil
}
