package django

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
	Recorded   []string
	Unknown    []string
	Problems   []string
	Migrations []struct {
		ID, File, Checksum  string
		Applied, Atomic     bool
		Irreversible, Needs []string
		Operations          []string
		SQL                 string
	}
}

// List returns every migration Django knows, those of its own and other
// packages included (they have no File), and after them the files it does not
// load, each of which is a problem.
func (t *Tool) List(ctx context.Context, p migrate.Project) (migrate.Listing, error) {
	files, err := t.Files(p.Tree)
	if err != nil {
		return migrate.Listing{}, err
	}
	var answer listing
	if err := t.ask(ctx, p, "list", "", "", &answer); err != nil {
		return migrate.Listing{}, err
	}
	l := migrate.Listing{Unknown: answer.Unknown, Problems: answer.Problems}
	byPath := make(map[string]ship.Migration, len(files))
	for _, f := range files {
		byPath[f.File] = f
	}
	listed := map[string]bool{}
	for _, m := range answer.Migrations {
		known, ours := byPath[m.File]
		if ours && known.ID != m.ID {
			l.Problems = append(l.Problems, fmt.Sprintf("%s is %s by its folder and %s to Django: write its label in the app's apps.py", m.File, known.ID, m.ID))
		}
		sm := ship.Migration{
			ID: m.ID, Checksum: m.Checksum, Applied: m.Applied, Atomic: m.Atomic,
			Reversible: len(m.Irreversible) == 0, SQL: m.SQL, Operations: m.Operations, Needs: m.Needs,
		}
		if ours {
			sm.File, sm.Checksum, sm.Declared, sm.Reason = known.File, known.Checksum, known.Declared, known.Reason
		}
		if !sm.Reversible {
			sm.WhyNot = strings.Join(m.Irreversible, ", ") + " has no way back"
		}
		listed[m.ID] = true
		l.Migrations = append(l.Migrations, sm)
	}
	for _, f := range files {
		if listed[f.ID] {
			continue
		}
		f.Applied = slices.Contains(answer.Recorded, f.ID)
		if len(answer.Migrations) > 0 {
			l.Problems = append(l.Problems, fmt.Sprintf("Django does not load %s: install its app or exclude the file from the release", f.File))
		}
		l.Migrations = append(l.Migrations, f)
	}
	return l, nil
}
