package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// What is larger than smallTable is copied in pages of copyPage rows before
// the migration; the lock that a drop needs then waits for what was changed
// since alone.
const (
	smallTable = 32 << 20
	copyPage   = 20_000
)

// CopyAside implements [database.Undropper].
func (l *lock) CopyAside(ctx context.Context, d ship.Drop) (more bool, err error) {
	err = l.change(ctx, func(conn *pgx.Conn) error {
		r, err := lookAt(ctx, conn, d.Table, d.Column)
		if err != nil || r.oid == 0 || r.size <= smallTable || d.Stays != nil {
			return err
		}
		path, err := plainPath(ctx, conn)
		if err != nil {
			return err
		}
		t, found, err := l.copied(ctx, conn, d)
		if err != nil {
			return err
		}
		if !found || t.Xid == 0 {
			if t, err = l.beginCopy(ctx, conn, r, d, t, true); err != nil {
				return err
			}
		}
		if len(t.Key) == 0 || t.computed() {
			return path(ctx)
		}
		rows, err := copyNext(ctx, conn, t)
		if err != nil {
			return fmt.Errorf("copy %s: %w", t.Name(), err)
		}
		more = rows == copyPage
		t.Rows += rows
		return errors.Join(writeTrash(ctx, conn, t), path(ctx))
	})
	return more, err
}

// plainPath empties the search path, so that every name that is read is
// qualified, and has a policy refuse instead of hiding rows. What it returns puts both back.
func plainPath(ctx context.Context, conn *pgx.Conn) (back func(context.Context) error, err error) {
	var path, security string
	err = conn.QueryRow(ctx, "SELECT current_setting('search_path'), current_setting('row_security')").Scan(&path, &security)
	if err == nil {
		_, err = conn.Exec(ctx, "SELECT set_config('search_path', '', true), set_config('row_security', 'off', true)")
	}
	if err != nil {
		return nil, fmt.Errorf("set the search path: %w", err)
	}
	return func(ctx context.Context) error {
		_, err := conn.Exec(ctx, "SELECT set_config('search_path', $1, true), set_config('row_security', $2, true)", path, security)
		return err
	}, nil
}

// copied finds the copy that an attempt made which did not come to drop.
func (l *lock) copied(ctx context.Context, conn *pgx.Conn, d ship.Drop) (trashed, bool, error) {
	all, err := readTrash(ctx, conn)
	if err != nil {
		return trashed{}, false, err
	}
	i := slices.IndexFunc(all, func(t trashed) bool { return t.Of(d) && t.Status == database.TrashCopied })
	if i < 0 {
		return trashed{}, false, nil
	}
	return all[i], true, nil
}

// beginCopy makes an entry and a copy, empty when it is to be filled in pages.
// One that an earlier attempt left is replaced; that attempt may have dropped
// indexes, so what it read of the definition counts.
func (l *lock) beginCopy(ctx context.Context, conn *pgx.Conn, r target, d ship.Drop, left trashed, paged bool) (trashed, error) {
	t, err := r.measure(ctx, conn, d)
	if err != nil {
		return t, err
	}
	if err := createTrash(ctx, conn); err != nil {
		return t, err
	}
	if t.Parts, err = r.define(ctx, conn); err != nil {
		return t, fmt.Errorf("read the definition of %s: %w", t.Name(), err)
	}
	if left.ID != 0 {
		t.Parts = left.Parts
		if err := forgetTrash(ctx, conn, left); err != nil {
			return t, err
		}
	}
	if err := conn.QueryRow(ctx, "SELECT coalesce(max(id), 0) + 1, txid_snapshot_xmin(txid_current_snapshot()) FROM _shiplock_trash.entry").Scan(&t.ID, &t.Xid); err != nil {
		return t, fmt.Errorf("number what is dropped: %w", err)
	}
	if !paged {
		t.Xid = 0
	}
	t.Run, t.At = l.fence.Run, time.Now().UTC()
	if !t.computed() {
		if err := fillCopy(ctx, conn, &t, paged && len(t.Key) > 0); err != nil {
			return t, fmt.Errorf("copy %s aside: %w", t.Name(), err)
		}
	}
	return t, writeTrash(ctx, conn, t)
}

func fillCopy(ctx context.Context, conn *pgx.Conn, t *trashed, empty bool) error {
	with := ""
	if empty {
		with = " WITH NO DATA"
	}
	done, err := conn.Exec(ctx, fmt.Sprintf("CREATE TABLE %s AS SELECT %s FROM %s AS t%s", t.copyName(), t.list(copyColumn.aliased), t.Ident, with))
	if err != nil {
		return err
	}
	if !empty {
		t.Rows = done.RowsAffected()
	}
	if len(t.Key) > 0 {
		if _, err := conn.Exec(ctx, fmt.Sprintf("ALTER TABLE %s ADD PRIMARY KEY (%s)", t.copyName(), t.keys(""))); err != nil {
			return err
		}
	}
	return closeTable(ctx, conn, t.copyName())
}

func (c copyColumn) aliased() string { return c.value() + " AS " + quote(c.Name) }

func (t trashed) list(f func(copyColumn) string) string {
	all := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		all[i] = f(c)
	}
	return strings.Join(all, ", ")
}

// keys lists the key.
func (t trashed) keys(prefix string) string {
	all := make([]string, len(t.Key))
	for i, k := range t.Key {
		all[i] = prefix + quote(k)
	}
	return strings.Join(all, ", ")
}

// same joins the table t and the copy x.
func (t trashed) same() string {
	all := make([]string, len(t.Key))
	for i, k := range t.Key {
		c := t.Columns[slices.IndexFunc(t.Columns, func(c copyColumn) bool { return c.Name == k })]
		all[i] = fmt.Sprintf("%s = x.%s", c.value(), quote(k))
	}
	return strings.Join(all, " AND ")
}

// copyNext copies the next page: after a kill it begins behind the last row
// that is there.
func copyNext(ctx context.Context, conn *pgx.Conn, t trashed) (int64, error) {
	types := make([]string, len(t.Key))
	for i, k := range t.Key {
		types[i] = fmt.Sprintf("(SELECT %s FROM last)", t.column(k).back(quote(k)))
	}
	descending := strings.ReplaceAll(t.keysBack(), ", ", " DESC, ") + " DESC"
	var any bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+t.copyName()+")").Scan(&any); err != nil {
		return 0, err
	}
	after := ""
	if any {
		after = fmt.Sprintf("WHERE (%s) > (%s)", t.keys("t."), strings.Join(types, ", "))
	}
	done, err := conn.Exec(ctx, fmt.Sprintf(`WITH last AS (SELECT %s FROM %s ORDER BY %s LIMIT 1)
		INSERT INTO %[2]s SELECT %[4]s FROM %[5]s AS t %[6]s ORDER BY %[7]s LIMIT %[8]d`,
		t.keys(""), t.copyName(), descending, t.list(copyColumn.value), t.Ident, after, t.keys("t."), copyPage))
	return done.RowsAffected(), err
}

// keysBack lists the key of the copy in the types of the table, which order it.
func (t trashed) keysBack() string {
	all := make([]string, len(t.Key))
	for i, k := range t.Key {
		all[i] = t.column(k).back(quote(k))
	}
	return strings.Join(all, ", ")
}

func (t trashed) column(name string) copyColumn {
	return t.Columns[slices.IndexFunc(t.Columns, func(c copyColumn) bool { return c.Name == name })]
}

// aside copies what is to be dropped within the transaction under way: all of
// it, or what was changed since it was copied in pages. When statements follow,
// nobody else may change it from then on, which their drop needs anyway.
func (l *lock) aside(ctx context.Context, conn *pgx.Conn, w ship.Work) error {
	for _, d := range w.Aside {
		each, err := expand(ctx, conn, d)
		if err != nil {
			return err
		}
		for _, one := range each {
			if err := l.asideOne(ctx, conn, one, len(w.Statements) > 0); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lock) asideOne(ctx context.Context, conn *pgx.Conn, d ship.Drop, locked bool) error {
	r, err := lookAt(ctx, conn, d.Table, d.Column)
	if err != nil || r.oid == 0 {
		return err // it is not there: dropped by an earlier attempt, or never made
	}
	path, err := plainPath(ctx, conn)
	if err != nil {
		return err
	}
	if locked {
		if err := l.run(ctx, conn, "LOCK TABLE "+r.ident+" IN ACCESS EXCLUSIVE MODE"); err != nil {
			return err
		}
	}
	t, found, err := l.copied(ctx, conn, d)
	if err != nil {
		return err
	}
	if !found || t.Xid == 0 || len(t.Key) == 0 {
		t, err = l.beginCopy(ctx, conn, r, d, t, false)
	} else {
		err = catchUp(ctx, conn, &t)
	}
	if err != nil {
		return err
	}
	if !t.computed() {
		if err := conn.QueryRow(ctx, "SELECT pg_total_relation_size($1::text::regclass)", t.copyName()).Scan(&t.Size); err != nil {
			return fmt.Errorf("measure the copy of %s: %w", t.Name(), err)
		}
	}
	return errors.Join(writeTrash(ctx, conn, t), path(ctx))
}

// catchUp copies what was changed since the copying in pages began.
func catchUp(ctx context.Context, conn *pgx.Conn, t *trashed) error {
	if t.computed() {
		return nil
	}
	var set []string
	for _, c := range t.Columns {
		if !slices.Contains(t.Key, c.Name) {
			set = append(set, fmt.Sprintf("%s = excluded.%[1]s", quote(c.Name)))
		}
	}
	conflict := "NOTHING"
	if len(set) > 0 {
		conflict = "UPDATE SET " + strings.Join(set, ", ")
	}
	// age() counts back from now, so that it does not matter when the numbers
	// of transactions begin anew.
	statements := []string{fmt.Sprintf("INSERT INTO %s SELECT %s FROM %s AS t WHERE age(t.xmin) <= age('%d'::xid) ON CONFLICT (%s) DO %s",
		t.copyName(), t.list(copyColumn.value), t.Ident, t.Xid&0xffffffff, t.keys(""), conflict)}
	if t.Column == "" { // rows that were deleted must not come back
		statements = append(statements, fmt.Sprintf("DELETE FROM %s AS x WHERE NOT EXISTS (SELECT FROM %s AS t WHERE %s)", t.copyName(), t.Ident, t.same()))
	}
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("copy what was changed of %s: %w", t.Name(), err)
		}
	}
	return conn.QueryRow(ctx, "SELECT count(*) FROM "+t.copyName()).Scan(&t.Rows)
}
