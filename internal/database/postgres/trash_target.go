package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
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
	}, Ident: r.ident, Oid: r.oid, Number: r.attribute}
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
