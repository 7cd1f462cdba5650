package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

var (
	_ database.Trasher   = (*DB)(nil)
	_ database.Undropper = (*lock)(nil)
)

const trashSchema = `
CREATE TABLE IF NOT EXISTS _shiplock_trash (
	id     INTEGER PRIMARY KEY,
	status TEXT NOT NULL,
	entry  TEXT NOT NULL
);`

// A trashed is an entry with what only we need of it.
type trashed struct {
	database.Trashed
	Original string // CREATE TABLE as it was
	After    string // the column before it; "" is none
}

// copyName is the table that holds what was dropped.
func (t trashed) copyName() string { return fmt.Sprintf("_shiplock_trash_%d", t.ID) }

// Trash lists what is kept.
func (d *DB) Trash(ctx context.Context) (all []database.Trashed, err error) {
	err = d.read(ctx, func(conn *sql.Conn) error {
		entries, err := readTrash(ctx, conn)
		for _, e := range entries {
			all = append(all, e.Trashed)
		}
		return err
	})
	return all, err
}

func readTrash(ctx context.Context, conn *sql.Conn) ([]trashed, error) {
	rows, err := textRows(ctx, conn, "SELECT entry FROM _shiplock_trash ORDER BY id", nil)
	if err != nil {
		return nil, unlessAbsent(err)
	}
	all := make([]trashed, len(rows))
	for i, row := range rows {
		if err := json.Unmarshal([]byte(row[0]), &all[i]); err != nil {
			return nil, fmt.Errorf("read what is in the trash: %w", err)
		}
	}
	return all, nil
}

func writeTrash(ctx context.Context, conn *sql.Conn, t trashed) error {
	text, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("keep what is in the trash: %w", err)
	}
	if _, err := conn.ExecContext(ctx, "INSERT OR REPLACE INTO _shiplock_trash (id, status, entry) VALUES (?, ?, ?)", t.ID, t.Status, string(text)); err != nil {
		return fmt.Errorf("keep what is in the trash: %w", err)
	}
	return nil
}

// CheckDrop implements [database.Trasher].
func (d *DB) CheckDrop(ctx context.Context, drop ship.Drop) error {
	return d.read(ctx, func(conn *sql.Conn) error {
		each, err := expand(ctx, conn, drop)
		for _, one := range each {
			if err == nil {
				_, err = measure(ctx, conn, one)
			}
		}
		return err
	})
}

// expand makes of a table whose place another takes the columns that the other
// lacks.
func expand(ctx context.Context, conn *sql.Conn, d ship.Drop) ([]ship.Drop, error) {
	if d.Stays == nil || d.Column != "" {
		return []ship.Drop{d}, nil
	}
	_, columns, err := lookAt(ctx, conn, d.Table)
	if err != nil {
		return nil, err
	}
	var each []ship.Drop
	for _, c := range columns {
		if !slices.ContainsFunc(d.Stays, func(s string) bool { return strings.EqualFold(s, c.name) }) {
			one := d
			one.Column, one.Stays = c.name, nil
			each = append(each, one)
		}
	}
	return each, nil
}

// A column is one of a table as it is now.
type column struct {
	name      string
	key       int // its place in the primary key, from 1
	generated bool
}

// lookAt returns the name of a table as the schema has it, "" when there is
// none, and its columns.
func lookAt(ctx context.Context, conn *sql.Conn, table string) (name string, columns []column, err error) {
	table = strings.TrimPrefix(table, "main.")
	rows, err := textRows(ctx, conn, `SELECT m.name, x.name, x.pk, x.hidden > 1 FROM sqlite_schema m, pragma_table_xinfo(m.name) x
		WHERE m.type = 'table' AND m.name = ? COLLATE NOCASE AND x.hidden <> 1 ORDER BY x.cid`, []any{table})
	if err != nil {
		return "", nil, fmt.Errorf("look at %s: %w", table, err)
	}
	for _, row := range rows {
		c := column{name: row[1], generated: row[3] == "1"}
		if _, err := fmt.Sscan(row[2], &c.key); err != nil {
			return "", nil, fmt.Errorf("look at %s: %w", table, err)
		}
		name, columns = row[0], append(columns, c)
	}
	return name, columns, nil
}

// keyColumns returns the primary key in its order.
func keyColumns(columns []column) []string {
	key := make([]string, len(columns))
	n := 0
	for _, c := range columns {
		if c.key > 0 {
			key[c.key-1] = c.name
			n++
		}
	}
	return key[:n]
}

// measure describes what is dropped and refuses what cannot be kept. The
// Table of what is not there is "".
func measure(ctx context.Context, conn *sql.Conn, d ship.Drop) (trashed, error) {
	t := trashed{Trashed: database.Trashed{Migration: d.Migration, Column: d.Column, Only: d.Only, Besides: d.Besides, Until: d.Until}}
	name, columns, err := lookAt(ctx, conn, d.Table)
	if err != nil || name == "" {
		return t, err
	}
	t.Key = keyColumns(columns)
	sizes := []string{}
	for i, c := range columns {
		if d.Column != "" && !strings.EqualFold(c.name, d.Column) {
			continue
		}
		if d.Column != "" {
			t.Column = c.name
			if i > 0 {
				t.After = columns[i-1].name
			}
			if len(t.Key) == 0 || c.key > 0 {
				return t, database.NoKey(d)
			}
		}
		if !c.generated {
			sizes = append(sizes, "coalesce(length(CAST("+ident(c.name)+" AS BLOB)), 0) + 8")
		}
		t.Table = name
	}
	if t.Table == "" {
		return t, nil // its column is gone
	}
	if len(sizes) == 0 {
		return t, nil
	}
	query := fmt.Sprintf("SELECT count(*), coalesce(sum(%s), 0) FROM %s", strings.Join(sizes, " + "), ident(name))
	if err := conn.QueryRowContext(ctx, query).Scan(&t.Rows, &t.Size); err != nil {
		return t, fmt.Errorf("measure %s: %w", t.Name(), err)
	}
	return t, database.TooLarge(d, t.Size)
}

// CopyAside has nothing to do: a file has one place to write, so that copying in pages
// beforehand would not keep anybody waiting for less time.
func (l *lock) CopyAside(context.Context, ship.Drop) (bool, error) { return false, nil }

// aside copies what is to be dropped within the transaction under way.
func (l *lock) aside(ctx context.Context, conn *sql.Conn, w ship.Work) error {
	if len(w.Aside) == 0 {
		return nil
	}
	if _, err := conn.ExecContext(ctx, trashSchema); err != nil {
		return fmt.Errorf("create the trash: %w", err)
	}
	for _, d := range w.Aside {
		each, err := expand(ctx, conn, d)
		if err != nil {
			return err
		}
		for _, one := range each {
			if err := l.asideOne(ctx, conn, one); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lock) asideOne(ctx context.Context, conn *sql.Conn, d ship.Drop) error {
	t, err := measure(ctx, conn, d)
	if err != nil || t.Table == "" {
		return err // it is not there: dropped by an earlier attempt, or never made
	}
	all, err := readTrash(ctx, conn)
	if err != nil {
		return err
	}
	if err := define(ctx, conn, &t); err != nil {
		return fmt.Errorf("read the definition of %s: %w", t.Name(), err)
	}
	for _, e := range all {
		t.ID = max(t.ID, e.ID)
		if e.Of(d) && e.Status == database.TrashCopied {
			// An attempt that did not come to drop it may have dropped its indexes.
			t.Original, t.After, t.Parts = e.Original, e.After, e.Parts
			if err := forgetTrash(ctx, conn, e); err != nil {
				return err
			}
		}
	}
	t.ID++
	t.Run, t.Status, t.At = l.fence.Run, database.TrashCopied, time.Now().UTC()
	if err := copyRows(ctx, conn, t); err != nil {
		return fmt.Errorf("copy %s aside: %w", t.Name(), err)
	}
	return writeTrash(ctx, conn, t)
}

// copyRows fills the table that holds what is dropped.
func copyRows(ctx context.Context, conn *sql.Conn, t trashed) error {
	_, columns, err := lookAt(ctx, conn, t.Table)
	if err != nil {
		return err
	}
	var names []string
	for _, c := range columns {
		if c.generated && strings.EqualFold(c.name, t.Column) {
			return nil // its values come of themselves
		}
		if !c.generated && t.Column == "" {
			names = append(names, ident(c.name))
		}
	}
	if t.Column != "" {
		for i, k := range t.Key {
			names = append(names, fmt.Sprintf("%s AS k%d", ident(k), i))
		}
		names = append(names, ident(t.Column)+" AS value")
	}
	statements := []string{fmt.Sprintf("CREATE TABLE %s AS SELECT %s FROM %s", t.copyName(), strings.Join(names, ", "), ident(t.Table))}
	if t.Column != "" {
		statements = append(statements, fmt.Sprintf("CREATE UNIQUE INDEX %s_key ON %[1]s (%s)", t.copyName(), keyOfCopy(t, "")))
	}
	return execAll(ctx, conn, statements...)
}

// keyOfCopy lists the key's columns of a copy.
func keyOfCopy(t trashed, prefix string) string {
	names := make([]string, len(t.Key))
	for i := range t.Key {
		names[i] = fmt.Sprintf("%sk%d", prefix, i)
	}
	return strings.Join(names, ", ")
}

func execAll(ctx context.Context, conn *sql.Conn, statements ...string) error {
	for _, s := range statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func forgetTrash(ctx context.Context, conn *sql.Conn, t trashed) error {
	if err := execAll(ctx, conn, "DROP TABLE IF EXISTS "+t.copyName()); err != nil {
		return fmt.Errorf("delete the copy of %s: %w", t.Name(), err)
	}
	if _, err := conn.ExecContext(ctx, "DELETE FROM _shiplock_trash WHERE id = ?", t.ID); err != nil {
		return fmt.Errorf("delete the copy of %s: %w", t.Name(), err)
	}
	return nil
}

// Purge implements [database.Undropper].
func (l *lock) Purge(ctx context.Context, ids []int64) error {
	return l.change(ctx, func(conn *sql.Conn) error {
		all, err := readTrash(ctx, conn)
		for _, t := range all {
			if err == nil && slices.Contains(ids, t.ID) && t.Status != database.TrashBack {
				err = purgeOne(ctx, conn, t)
			}
		}
		return err
	})
}

// purgeOne deletes a copy. The entry stays: what the migration dropped cannot
// all be brought back any more.
func purgeOne(ctx context.Context, conn *sql.Conn, t trashed) error {
	if t.Status == database.TrashCopied {
		return forgetTrash(ctx, conn, t)
	}
	if err := execAll(ctx, conn, "DROP TABLE IF EXISTS "+t.copyName()); err != nil {
		return fmt.Errorf("delete the copy of %s: %w", t.Name(), err)
	}
	t.Status = database.TrashPurged
	return writeTrash(ctx, conn, t)
}

// change calls do in a transaction that holds the fence.
func (l *lock) change(ctx context.Context, do func(*sql.Conn) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	conn, err := l.session(ctx)
	if err != nil {
		return err
	}
	return l.ended(ctx, inTransaction(ctx, conn, func() error {
		if err := l.check(ctx, conn); err != nil {
			return err
		}
		return do(conn)
	}))
}
