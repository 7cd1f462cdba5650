package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/database"
)

// Tables implements [database.Shadow].
func (s *shadow) Tables(ctx context.Context) (tables []database.Table, err error) {
	err = s.read(ctx, func(conn *pgx.Conn) error {
		oids, err := listTables(ctx, conn, &tables)
		if err != nil {
			return fmt.Errorf("list tables: %w", err)
		}
		at := make(map[uint32]*database.Table, len(oids))
		for i, oid := range oids {
			at[oid] = &tables[i]
		}
		if err := listColumns(ctx, conn, at); err != nil {
			return fmt.Errorf("list columns: %w", err)
		}
		if err := listKeys(ctx, conn, at); err != nil {
			return fmt.Errorf("list keys: %w", err)
		}
		return nil
	})
	return tables, err
}

func listTables(ctx context.Context, conn *pgx.Conn, tables *[]database.Table) (oids []uint32, err error) {
	rows, err := conn.Query(ctx, `SELECT c.oid, format('%I.%I', n.nspname, c.relname), greatest(c.reltuples, 0)::bigint
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema', '_shiplock', '_shiplock_trash') AND n.nspname NOT LIKE 'pg\_%'
		AND `+notOf("pg_class", "c.oid")+` ORDER BY 2`)
	if err != nil {
		return nil, err
	}
	var oid uint32
	var t database.Table
	_, err = pgx.ForEachRow(rows, []any{&oid, &t.Name, &t.Rows}, func() error {
		t.Ident = t.Name
		*tables, oids = append(*tables, t), append(oids, oid)
		return nil
	})
	return oids, err
}

func listColumns(ctx context.Context, conn *pgx.Conn, tables map[uint32]*database.Table) error {
	generated := "''"
	var version int
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		return err
	}
	if version >= 120000 {
		generated = "a.attgenerated::text"
	}
	rows, err := conn.Query(ctx, `SELECT a.attrelid, a.attname, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
			a.attnotnull OR (t.typtype = 'd' AND t.typnotnull), a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,
			`+generated+` <> '' OR a.attidentity = 'a',
			coalesce(b.typname, t.typname), CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END,
			coalesce((SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = coalesce(b.oid, t.oid)), '{}')
		FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = t.typbasetype AND t.typtype = 'd'
		WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum`)
	if err != nil {
		return err
	}
	var oid uint32
	var c database.Column
	var base string
	var modifier int
	var labels []string
	_, err = pgx.ForEachRow(rows, []any{&oid, &c.Name, &c.Ident, &c.Type, &c.NotNull, &c.Default, &c.Generated, &base, &modifier, &labels}, func() error {
		t, ok := tables[oid]
		if !ok {
			return nil
		}
		c.Usual, c.Least, c.Most, c.Labels = nil, "", "", nil
		values(&c, base, modifier, labels)
		t.Columns = append(t.Columns, c)
		return nil
	})
	return err
}

// values gives a column examples of its type, and its limits.
func values(c *database.Column, base string, modifier int, labels []string) {
	if len(labels) > 0 {
		for _, l := range labels {
			c.Labels = append(c.Labels, "'"+strings.ReplaceAll(l, "'", "''")+"'")
		}
		c.Usual = []string{c.Labels[0], c.Labels[len(c.Labels)-1]}
		return
	}
	switch base {
	case "varchar", "bpchar", "text", "citext":
		texts(c, modifier)
		return
	case "numeric":
		numbers(c, modifier)
		return
	}
	if known, ok := examples[base]; ok {
		c.Usual, c.Least, c.Most = []string{known[0], known[1]}, known[2], known[3]
	}
}

// longText is how many characters a text without a limit is tried with.
const longText = 5000

func texts(c *database.Column, modifier int) {
	size := longText
	if modifier > 4 {
		size = modifier - 4
	}
	c.Usual = []string{"left('1 shiplock', " + strconv.Itoa(size) + ")", "left('2 shiplock', " + strconv.Itoa(size) + ")"}
	c.Least, c.Most = "''", fmt.Sprintf("repeat('z', %d)", size)
}

func numbers(c *database.Column, modifier int) {
	c.Usual, c.Least, c.Most = []string{"1", "2"}, "-99999999999999.99", "99999999999999.99"
	if modifier < 4 {
		return
	}
	precision, scale := (modifier-4)>>16&0xffff, (modifier-4)&0x7ff
	if scale > precision {
		return
	}
	most := strings.Repeat("9", precision-scale)
	if scale > 0 {
		most += "." + strings.Repeat("9", scale)
	}
	c.Least, c.Most = "-"+most, most
	if precision == scale {
		c.Usual = []string{"0.1", "0.2"}
	}
}

// examples are two usual values, the least and the most of a type.
var examples = map[string][4]string{
	"int2": {"31007", "31009", "-32768", "32767"}, "int4": {"2100000007", "2100000009", "-2147483648", "2147483647"},
	"int8":   {"2100000007", "2100000009", "-9223372036854775808", "9223372036854775807"},
	"float4": {"1.5", "2.5", "-1e30", "1e30"}, "float8": {"1.5", "2.5", "-1e300", "1e300"}, "money": {"1", "2", "-1000000", "1000000"},
	"bool": {"true", "false", "false", "true"}, "date": {"'2031-02-03'", "'2031-02-04'", "'0001-01-01'", "'9999-12-31'"},
	"timestamp":   {"'2031-02-03 04:05:06.123456'", "'2031-02-04 04:05:06'", "'0001-01-01'", "'9999-12-31 23:59:59.999999'"},
	"timestamptz": {"'2031-02-03 04:05:06.123456+00'", "'2031-02-04 04:05:06+00'", "'0001-01-02 00:00:00+00'", "'9999-12-31 23:59:59.999999+00'"},
	"time":        {"'04:05:06'", "'04:05:07'", "'00:00'", "'23:59:59.999999'"}, "timetz": {"'04:05:06+00'", "'04:05:07+00'", "'00:00+00'", "'23:59:59+00'"},
	"interval": {"'1 day'", "'2 days'", "'-1000 years'", "'1000 years'"},
	"uuid":     {"'5a1b0c2d-0000-4000-8000-000000000001'", "'5a1b0c2d-0000-4000-8000-000000000002'", "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"},
	"json":     {`'{"a": 1}'`, `'{"a": 2}'`, "'null'", `'[1, [2]]'`}, "jsonb": {`'{"a": 1}'`, `'{"a": 2}'`, "'null'", `'[1, [2]]'`},
	"bytea": {`'\x01'`, `'\x02'`, `''`, `'\xffff'`}, "inet": {"'192.0.2.1'", "'192.0.2.2'", "'0.0.0.0'", "'255.255.255.255'"},
}

func listKeys(ctx context.Context, conn *pgx.Conn, tables map[uint32]*database.Table) error {
	rows, err := conn.Query(ctx, `SELECT i.indrelid, ic.relname, i.indisprimary, i.indpred IS NOT NULL OR i.indexprs IS NOT NULL, '',
			coalesce((SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, n)
				JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE k.n <= i.indnkeyatts), '{}'), '{}'::text[]
		FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid WHERE i.indisunique AND i.indisvalid
		UNION ALL SELECT c.conrelid, c.conname, false, false, (SELECT format('%I.%I', n.nspname, r.relname) FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace WHERE r.oid = c.confrelid),
			(SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(c.conkey) WITH ORDINALITY k (attnum, n) JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum),
			(SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(c.confkey) WITH ORDINALITY k (attnum, n) JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.attnum)
		FROM pg_constraint c WHERE c.contype = 'f' ORDER BY 1, 2`)
	if err != nil {
		return err
	}
	var oid uint32
	var k database.Key
	var columns, to []string
	_, err = pgx.ForEachRow(rows, []any{&oid, &k.Name, &k.Primary, &k.Partial, &k.To, &columns, &to}, func() error {
		if t, ok := tables[oid]; ok {
			k.Columns, k.ToCols = append([]string(nil), columns...), append([]string(nil), to...)
			t.Keys = append(t.Keys, k)
		}
		return nil
	})
	return err
}

// Sums implements [database.Shadow].
func (s *shadow) Sums(ctx context.Context, tables []database.Table) (map[string]database.Sum, error) {
	sums := map[string]database.Sum{}
	err := s.read(ctx, func(conn *pgx.Conn) error {
		for _, t := range tables {
			names := make([]string, len(t.Columns))
			for i, c := range t.Columns {
				names[i] = c.Ident
			}
			var sum database.Sum
			err := conn.QueryRow(ctx, fmt.Sprintf(`SELECT count(*), coalesce(sum(hashtextextended(ROW(%s)::text, 0)::numeric), 0)::text FROM %s`,
				strings.Join(names, ", "), t.Ident)).Scan(&sum.Rows, &sum.Sum)
			if hasCode(err, "42P01", "42703") {
				continue
			}
			if err != nil {
				return fmt.Errorf("add up the rows of %s: %w", t.Name, err)
			}
			sums[t.Name] = sum
		}
		return nil
	})
	return sums, err
}
