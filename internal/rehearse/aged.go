package rehearse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

// catchUp carries out on an older copy what the original has by now. A copy
// whose schema is another one even so proves nothing about the original.
func (r *rehearsal) catchUp(ctx context.Context, out *ship.Rehearsal) error {
	if r.Original == nil {
		return nil
	}
	late, err := r.late(ctx)
	if err != nil {
		return fmt.Errorf("list what the copy lacks: %w", err)
	}
	for _, m := range late {
		r.Progress(fmt.Sprintf("bringing the copy up to date: %s", m.ID))
		if err := r.up(ctx, r.Shadow, m); err != nil {
			return ship.Errorf(ship.Inconclusive, newerBackup, "%s, which is applied already, cannot be carried out on the copy: %w", m.ID, err)
		}
	}
	now, err := r.Shadow.Catalog(ctx)
	if err != nil {
		return fmt.Errorf("describe the copy: %w", err)
	}
	var differ []string
	for _, d := range database.Diff(r.Original, now) {
		if d.Kind != "order" {
			differ = append(differ, d.Kind+" "+d.Name)
		}
	}
	if len(differ) > 0 {
		return ship.Errorf(ship.Inconclusive, newerBackup, "the backup is of another schema than the database has now, and %d migrations of this release that came since do not explain it: %s",
			len(late), shorten(strings.Join(differ, ", ")))
	}
	if len(late) > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("carried out on the copy first, since they came after the backup: %s", listed(late)))
	}
	return nil
}

// newerBackup is what to do about a copy that is too old.
const newerBackup = "make a newer backup: shiplock backup ENVIRONMENT"

// late are the migrations that the original has and the copy lacks.
func (r *rehearsal) late(ctx context.Context) (late []ship.Migration, err error) {
	err = r.locked(ctx, r.Shadow, func(p migrate.Project) error {
		l, err := r.Tool.List(ctx, p)
		for _, m := range r.Applied {
			if slices.ContainsFunc(l.Migrations, func(x ship.Migration) bool { return x.ID == m.ID && !x.Applied }) {
				m.Applied = false
				late = append(late, m)
			}
		}
		return err
	})
	return late, err
}

func listed(all []ship.Migration) string {
	names := make([]string, len(all))
	for i, m := range all {
		names[i] = m.ID
	}
	return strings.Join(names, ", ")
}
