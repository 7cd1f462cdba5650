package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// settleTrash notes what the end of a migration means for what was copied: it
// is dropped when the migration is done, and not when it is forgotten.
func settleTrash(ctx context.Context, conn *sql.Conn, w ship.Work) error {
	all, err := readTrash(ctx, conn)
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.Status != database.TrashCopied {
			continue
		}
		done := slices.ContainsFunc(w.Record, func(r ship.Record) bool { return r.Migration == t.Migration && r.Status == ship.RecordDone })
		switch {
		case done:
			err = settleOne(ctx, conn, t)
		case slices.Contains(w.Forget, t.Migration):
			err = forgetTrash(ctx, conn, t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// settleOne forgets what was copied and is there all the same. Another one that
// has taken its name, as after a change of its type by hand, is not the same:
// it has other values.
func settleOne(ctx context.Context, conn *sql.Conn, t trashed) error {
	there, err := present(ctx, conn, t)
	if err != nil {
		return err
	}
	if there {
		there, err = holds(ctx, conn, t)
	}
	if err != nil {
		return err
	}
	if there {
		return forgetTrash(ctx, conn, t)
	}
	t.Status = database.TrashDropped
	return writeTrash(ctx, conn, t)
}

// present tells whether what was dropped is there, or another of its name.
func present(ctx context.Context, conn *sql.Conn, t trashed) (bool, error) {
	name, columns, err := lookAt(ctx, conn, t.Table)
	if t.Column == "" || err != nil {
		return name != "", err
	}
	return slices.ContainsFunc(columns, func(c column) bool { return strings.EqualFold(c.name, t.Column) }), nil
}

// holds tells whether every value of the copy is where it was. What cannot be
// compared any more is another one.
func holds(ctx context.Context, conn *sql.Conn, t trashed) (bool, error) {
	kept, err := textRows(ctx, conn, "SELECT name FROM pragma_table_info(?)", []any{t.copyName()})
	if err != nil || len(kept) == 0 {
		return err == nil, err // generated: there is nothing that could be lost
	}
	_, columns, err := lookAt(ctx, conn, t.Table)
	if err != nil {
		return false, err
	}
	names := append(slices.Clone(t.Key), t.Column)
	if t.Column == "" {
		names = first(kept)
	}
	for i, name := range names {
		if !slices.ContainsFunc(columns, func(c column) bool { return strings.EqualFold(c.name, name) }) {
			return false, nil
		}
		names[i] = ident(name)
	}
	var lost bool
	query := fmt.Sprintf("SELECT EXISTS (SELECT * FROM %s EXCEPT SELECT %s FROM %s)", t.copyName(), strings.Join(names, ", "), ident(t.Table))
	if err := conn.QueryRowContext(ctx, query).Scan(&lost); err != nil {
		return false, fmt.Errorf("compare %s with its copy: %w", t.Name(), err)
	}
	return !lost, nil
}
