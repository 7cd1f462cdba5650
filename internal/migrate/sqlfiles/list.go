package sqlfiles

import (
	"context"
	"fmt"
	"slices"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// List implements [migrate.Tool].
func (t *Tool) List(ctx context.Context, p migrate.Project) (migrate.Listing, error) {
	f, err := t.load(p.Tree)
	if err != nil {
		return migrate.Listing{}, err
	}
	past, _, err := f.past(ctx, p.Session)
	if err != nil {
		return migrate.Listing{}, err
	}
	d := sqltext.Dialect(p.Session.Dialect())
	// A history of one row cannot have a gap.
	l := migrate.Listing{Unknown: past.unknown(), Dirty: past.foreignMark(), Ordered: f.convention != nil && f.convention.single}
	for _, file := range f.files {
		m := file.migration()
		m.Applied = past.applied(file)
		m.Atomic = file.up.atomic(d)
		l.Migrations = append(l.Migrations, m)
		l.Problems = append(l.Problems, past.problems(file, m.Applied, d)...)
	}
	return l, nil
}

// foreignMark returns the tool's own mark of half-done work, unless it is ours
// and Up or Down can go on from there.
func (p past) foreignMark() string {
	if p.halfDone == "" {
		return ""
	}
	if f := p.folder.version(p.halfDone); f != nil {
		if r, ok := p.record(f.id); ok && r.Status != ship.RecordDone && r.Checksum == f.checksum {
			return ""
		}
	}
	return p.dirty
}

// unknown returns what is applied and has no file: by the ledger's name where
// it has one, by version otherwise.
func (p past) unknown() []string {
	var all []string
	if p.folder.convention == nil {
		for _, r := range p.records {
			if r.Tool == toolName && r.Status == ship.RecordDone {
				all = append(all, r.Migration)
			}
		}
		return all
	}
	c := p.folder.convention
	names := map[string]string{}
	for _, r := range p.records {
		if r.Tool != toolName || r.Status != ship.RecordDone {
			continue
		}
		v := c.version(r.Migration)
		names[v] = r.Migration
		// A history of one row does not name those below it.
		if p.through != "" && c.compare(v, p.through) < 0 && p.folder.version(v) == nil {
			all = append(all, r.Migration)
		}
	}
	for _, v := range p.versions {
		if p.folder.version(v) != nil {
			continue
		}
		name := names[v]
		if name == "" {
			name = v
		}
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// problems returns what keeps the tool from going on with a file.
func (p past) problems(f *file, applied bool, d sqltext.Dialect) []string {
	if !applied {
		if _, err := f.up.steps(d); err != nil {
			return []string{err.Error()}
		}
		return nil
	}
	var all []string
	for _, r := range p.records {
		if r.Tool != toolName || r.Status != ship.RecordDone || p.folder.convention.version(r.Migration) != f.version {
			continue
		}
		switch {
		case r.Migration != f.id:
			all = append(all, fmt.Sprintf("version %s was applied as %s and is called %s now: give the file its former name", f.version, r.Migration, f.id))
		case r.Checksum != f.checksum:
			all = append(all, fmt.Sprintf("%s was changed after it was applied (%.15s… then, %.15s… now): take the change back and make it a new migration",
				f.path, r.Checksum, f.checksum))
		}
	}
	return all
}
