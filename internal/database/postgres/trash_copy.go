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

// A target is a table as it is now.
type target struct {
	oid       uint32
	name      string // as a person reads it
	ident     string
	kind      string // 'r', 'p'
	size      int64
	rows      int64
	attribute int16 // of the column; 0 is none
}

// lookAt finds a table, and a column of it. Its oid is 0 where there is none.
func lookAt(ctx context.Context, conn *pgx.Conn, table, column string) (r target, err error) {
	parts := strings.Split(table, ".")
	for i, p := range parts {
		parts[i] = quote(p)
	}
	err = conn.QueryRow(ctx, `SELECT c.oid, CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname, format('%I.%I', n.nspname, c.relname), c.relkind::text,
			CASE WHEN c.relkind = 'p' THEN (SELECT coalesce(sum(pg_table_size(i.inhrelid)), 0)::bigint FROM pg_inherits i WHERE i.inhparent = c.oid) ELSE pg_table_size(c.oid) END,
			greatest(c.reltuples, 0)::bigint, coalesce((SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped), 0)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p')`, strings.Join(parts, "."), column).
		Scan(&r.oid, &r.name, &r.ident, &r.kind, &r.size, &r.rows, &r.attribute)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && column != "" && r.attribute == 0 {
		return target{}, nil
	}
	if err != nil {
		return r, fmt.Errorf("look at %s: %w", table, err)
	}
	return r, nil
}

// key returns the columns of the primary key, or of a unique key without NULLs,
// that does not have the column, and their types.
func (r target) key(ctx context.Context, conn *pgx.Conn) (names, types []string, err error) {
	err = conn.QueryRow(ctx, `SELECT array_agg(a.attname::text ORDER BY k.n), array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY k.n)
		FROM pg_index i, LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, n) JOIN pg_attribute a ON a.attnum = k.attnum AND a.attnum > 0
		WHERE i.indrelid = $1 AND a.attrelid = $1 AND k.n <= i.indnkeyatts AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
		GROUP BY i.indexrelid, i.indisprimary HAVING bool_and(a.attnotnull) AND NOT bool_or(a.attnum = $2) ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1`,
		r.oid, r.attribute).Scan(&names, &types)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, nil, fmt.Errorf("look for the key of %s: %w", r.name, err)
	}
	return names, types, nil
}

// CheckDrop implements [database.Trasher].
func (d *DB) CheckDrop(ctx context.Context, drop ship.Drop) error {
	return d.read(ctx, func(conn *pgx.Conn) error {
		each, err := expand(ctx, conn, drop)
		for _, one := range each {
			r, e := lookAt(ctx, conn, one.Table, one.Column)
			if err = errors.Join(err, e); err == nil && r.oid != 0 {
				_, err = r.measure(ctx, conn, one)
			}
		}
		return err
	})
}

// measure begins an entry, and refuses what cannot be kept.
func (r target) measure(ctx context.Context, conn *pgx.Conn, d ship.Drop) (trashed, error) {
	t := trashed{Trashed: database.Trashed{
		Migration: d.Migration, Table: r.name, Column: d.Column, Only: d.Only, Besides: d.Besides, Until: d.Until, Status: database.TrashCopied, Size: r.size,
	}, Ident: r.ident}
	if r.kind == "p" && d.Column == "" {
		return t, ship.Errorf(ship.Refused, "drop its partitions one by one, or say in migrations.trash.off why nothing needs to be kept",
			"%s drops %s, which has partitions: a table that is divided cannot be brought back whole", d.Migration, r.name)
	}
	var err error
	if t.Key, t.KeyTypes, err = r.key(ctx, conn); err != nil {
		return t, err
	}
	if d.Column != "" {
		if len(t.Key) == 0 {
			return t, database.NoKey(d)
		}
		var width int64
		err = conn.QueryRow(ctx, "SELECT coalesce((SELECT max(avg_width) FROM pg_stats WHERE (schemaname, tablename) = (SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1) AND attname = $2), 0)", r.oid, d.Column).Scan(&width)
		if err != nil {
			return t, fmt.Errorf("measure %s: %w", t.Name(), err)
		}
		if width > 0 && r.rows > 0 {
			t.Size = min(r.size, r.rows*(width+8*int64(len(t.Key))+32))
		}
	}
	if t.Columns, err = r.columns(ctx, conn, t); err != nil {
		return t, err
	}
	return t, database.TooLarge(d, t.Size)
}

// columns lists what is copied. Of a column that is computed nothing is, and it
// is the last that is not of the key.
func (r target) columns(ctx context.Context, conn *pgx.Conn, t trashed) ([]copyColumn, error) {
	rows, err := conn.Query(ctx, `SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), y.typnamespace <> 'pg_catalog'::regnamespace
		FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
		WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND coalesce(to_jsonb(a)->>'attgenerated', '') = ''
		AND ($2::text = '' OR a.attname::text = $2::text OR a.attname::text = ANY ($3::text[]))
		ORDER BY a.attname::text = $2::text, coalesce(array_position($3::text[], a.attname::text), 0), a.attnum`, r.oid, t.Column, keyOf(t))
	if err != nil {
		return nil, fmt.Errorf("list the columns of %s: %w", r.name, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (c copyColumn, err error) {
		return c, row.Scan(&c.Name, &c.Type, &c.Text)
	})
}

// keyOf is the key by which the columns are ordered; of a table they keep their order.
func keyOf(t trashed) []string {
	if t.Column == "" {
		return []string{}
	}
	return t.Key
}

// computed tells whether a column has no values of its own.
func (t trashed) computed() bool { return t.Column != "" && len(t.Columns) == len(t.Key) }

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
	if t.Parts, err = r.define(ctx, conn, t.Column); err != nil {
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

// expand makes of a table whose place another takes the columns that the other
// lacks.
func expand(ctx context.Context, conn *pgx.Conn, d ship.Drop) ([]ship.Drop, error) {
	if d.Stays == nil || d.Column != "" {
		return []ship.Drop{d}, nil
	}
	r, err := lookAt(ctx, conn, d.Table, "")
	if err != nil || r.oid == 0 {
		return nil, err
	}
	rows, err := conn.Query(ctx, "SELECT attname::text FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped AND attname::text <> ALL ($2::text[]) ORDER BY attnum", r.oid, d.Stays)
	if err != nil {
		return nil, fmt.Errorf("list the columns of %s: %w", r.name, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (ship.Drop, error) {
		one := d
		one.Stays = nil
		return one, row.Scan(&one.Column)
	})
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
