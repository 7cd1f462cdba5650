package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/shiplock/shiplock/internal/database"
)

// Tables implements [database.Shadow].
func (s *shadow) Tables(ctx context.Context) (tables []database.Table, err error) {
	err = s.read(ctx, func(conn *sql.Conn) error {
		names, err := textRows(ctx, conn, "SELECT m.name FROM sqlite_schema m WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%' AND "+own+" ORDER BY 1", nil)
		if err != nil {
			return fmt.Errorf("list tables: %w", err)
		}
		for _, row := range names {
			t := database.Table{Name: row[0], Ident: ident(row[0])}
			if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM "+t.Ident).Scan(&t.Rows); err != nil {
				return fmt.Errorf("count rows of %s: %w", t.Name, err)
			}
			if t.Columns, err = columnsOf(ctx, conn, t.Name); err != nil {
				return fmt.Errorf("list columns of %s: %w", t.Name, err)
			}
			if t.Keys, err = keysOf(ctx, conn, t); err != nil {
				return fmt.Errorf("list keys of %s: %w", t.Name, err)
			}
			tables = append(tables, t)
		}
		return nil
	})
	return tables, err
}

// ident returns a name as SQL has it.
func ident(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func columnsOf(ctx context.Context, conn *sql.Conn, table string) ([]database.Column, error) {
	rows, err := textRows(ctx, conn, `SELECT name, type, "notnull", dflt_value IS NOT NULL, hidden, pk, (SELECT count(*) FROM pragma_table_xinfo(?1) WHERE pk > 0)
		FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid`, []any{table})
	if err != nil {
		return nil, err
	}
	var all []database.Column
	for _, r := range rows {
		c := database.Column{Name: r[0], Ident: ident(r[0]), Type: r[1], NotNull: r[2] == "1", Default: r[3] == "1", Generated: r[4] != "0"}
		// The only key of type INTEGER is the row's number, which is given by itself.
		if r[5] == "1" && r[6] == "1" && strings.EqualFold(r[1], "INTEGER") {
			c.Default, c.NotNull = true, true
		}
		values(&c)
		all = append(all, c)
	}
	return all, nil
}

var sized = regexp.MustCompile(`\((\d+)\)`)

// values goes by the affinity of the declared type. SQLite keeps no limits, the
// application's frameworks do.
func values(c *database.Column) {
	kind := strings.ToUpper(c.Type)
	switch {
	case strings.Contains(kind, "INT"):
		c.Usual, c.Least, c.Most = []string{"2100000007", "2100000009"}, "-2147483648", "2147483647"
	case strings.Contains(kind, "BOOL"):
		c.Usual, c.Least, c.Most = []string{"1", "0"}, "0", "1"
	case strings.Contains(kind, "DATE"), strings.Contains(kind, "TIME"):
		c.Usual, c.Least, c.Most = []string{"'2031-02-03 04:05:06'", "'2031-02-04 04:05:06'"}, "'0001-01-01'", "'9999-12-31'"
	case strings.Contains(kind, "BLOB"), kind == "":
		c.Usual, c.Least, c.Most = []string{"x'01'", "x'02'"}, "x''", "x'ffff'"
	case strings.Contains(kind, "REAL"), strings.Contains(kind, "FLOA"), strings.Contains(kind, "DOUB"), strings.Contains(kind, "DEC"), strings.Contains(kind, "NUM"):
		c.Usual, c.Least, c.Most = []string{"1.5", "2.5"}, "-99999999", "99999999"
	default:
		size := 5000
		if m := sized.FindStringSubmatch(kind); m != nil {
			size, _ = strconv.Atoi(m[1])
		}
		c.Usual = []string{fmt.Sprintf("substr('1 shiplock', 1, %d)", size), fmt.Sprintf("substr('2 shiplock', 1, %d)", size)}
		c.Least, c.Most = "''", fmt.Sprintf("replace(hex(zeroblob(%d)), '00', 'z')", size)
	}
}

func keysOf(ctx context.Context, conn *sql.Conn, t database.Table) ([]database.Key, error) {
	var keys []database.Key
	primary, err := textRows(ctx, conn, "SELECT name FROM pragma_table_xinfo(?) WHERE pk > 0 ORDER BY pk", []any{t.Name})
	if err != nil {
		return nil, err
	}
	if len(primary) > 0 {
		keys = append(keys, database.Key{Name: t.Name + " primary key", Columns: first(primary), Primary: true})
	}
	unique, err := textRows(ctx, conn, `SELECT name, partial FROM pragma_index_list(?) WHERE "unique" AND origin <> 'pk' ORDER BY name`, []any{t.Name})
	if err != nil {
		return nil, err
	}
	for _, u := range unique {
		columns, err := textRows(ctx, conn, "SELECT coalesce(name, '') FROM pragma_index_info(?) ORDER BY seqno", []any{u[0]})
		if err != nil {
			return nil, err
		}
		k := database.Key{Name: u[0], Columns: first(columns), Partial: u[1] == "1"}
		for _, c := range k.Columns {
			k.Partial = k.Partial || c == ""
		}
		keys = append(keys, k)
	}
	foreign, err := textRows(ctx, conn, `SELECT id, "table", "from", coalesce("to", '') FROM pragma_foreign_key_list(?) ORDER BY id, seq`, []any{t.Name})
	if err != nil {
		return nil, err
	}
	for i, f := range foreign {
		if i == 0 || foreign[i-1][0] != f[0] {
			keys = append(keys, database.Key{Name: "foreign key to " + f[1], To: ident(f[1])})
		}
		k := &keys[len(keys)-1]
		k.Columns = append(k.Columns, f[2])
		if f[3] != "" {
			k.ToCols = append(k.ToCols, f[3])
		}
	}
	return keys, nil
}

func first(rows [][]string) []string {
	all := make([]string, len(rows))
	for i, r := range rows {
		all[i] = r[0]
	}
	return all
}

// Sums implements [database.Shadow].
func (s *shadow) Sums(ctx context.Context, tables []database.Table) (map[string]database.Sum, error) {
	sums := map[string]database.Sum{}
	err := s.read(ctx, func(conn *sql.Conn) error {
		for _, t := range tables {
			sum, there, err := sumOf(ctx, conn, t)
			if err != nil {
				return fmt.Errorf("add up the rows of %s: %w", t.Name, err)
			}
			if there {
				sums[t.Name] = sum
			}
		}
		return nil
	})
	return sums, err
}

// sumOf adds up a hash of each row. A name in double quotes that is no column
// would be taken for a text, so the columns are looked for first.
func sumOf(ctx context.Context, conn *sql.Conn, t database.Table) (sum database.Sum, there bool, err error) {
	have, err := textRows(ctx, conn, "SELECT name FROM pragma_table_xinfo(?)", []any{t.Name})
	if err != nil || len(have) == 0 {
		return sum, false, err
	}
	known := map[string]bool{}
	for _, r := range have {
		known[r[0]] = true
	}
	columns := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		if !known[c.Name] {
			return sum, false, nil
		}
		columns[i] = "quote(" + c.Ident + ")"
	}
	rows, err := conn.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM %s", strings.Join(columns, " || ',' || "), t.Ident))
	if err != nil {
		return sum, false, err
	}
	defer rows.Close()
	var total uint64
	for rows.Next() {
		var row sql.RawBytes
		if err := rows.Scan(&row); err != nil {
			return sum, false, err
		}
		digest := sha256.Sum256(row)
		total += binary.BigEndian.Uint64(digest[:])
		sum.Rows++
	}
	sum.Sum = strconv.FormatUint(total, 16)
	return sum, true, rows.Err()
}
