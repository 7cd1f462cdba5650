package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/shiplock/shiplock/internal/database"
)

// A mark is the content of the tables at a moment: rows and, for each column,
// the sum of the hashes of its values with their keys.
type mark map[string]content

type content struct {
	Rows    int64             `json:"rows"`
	Columns map[string]uint64 `json:"columns"`
}

// Written tells whether rows of users changed since from. SQLite counts
// nothing, so every row is read: what is told is exact as to whether, and as
// to how many a lower bound, namely by how much each table grew or shrank, or
// one when it only changed. Columns that were added or dropped meanwhile do not
// count.
func (d *DB) Written(ctx context.Context, from string) (string, []database.Wrote, error) {
	now, err := d.contents(ctx)
	if err != nil {
		return "", nil, fmt.Errorf("see what was written: %w", err)
	}
	return database.Since(now, from, mark.since)
}

func (m mark) since(then mark) (in []database.Wrote, err error) {
	for table, c := range m {
		in = append(in, database.Wrote{Table: table, Rows: c.since(then[table])})
	}
	for table, c := range then {
		if _, still := m[table]; !still {
			in = append(in, database.Wrote{Table: table, Rows: c.Rows})
		}
	}
	return in, nil
}

func (c content) since(then content) int64 {
	if grown := c.Rows - then.Rows; grown != 0 {
		return max(grown, -grown)
	}
	for column, sum := range c.Columns {
		if before, known := then.Columns[column]; known && before != sum {
			return 1
		}
	}
	return 0
}

func (d *DB) contents(ctx context.Context) (mark, error) {
	m := mark{}
	err := d.read(ctx, func(conn *sql.Conn) error {
		if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
			return err
		}
		tables, err := textRows(ctx, conn, `SELECT m.name, l.wr FROM sqlite_schema m JOIN pragma_table_list l ON l.name = m.name AND l.schema = 'main'
			WHERE l.type = 'table' AND `+own, nil)
		if err != nil {
			return err
		}
		for _, t := range tables {
			if m[t[0]], err = read(ctx, conn, t[0], t[1] == "1"); err != nil {
				return fmt.Errorf("read table %s: %w", t[0], err)
			}
		}
		return nil
	})
	return m, err
}

// read sums up a table. Each value is hashed with its row's key, so that
// values that change places are seen; the key is what SQLite finds rows by.
func read(ctx context.Context, conn *sql.Conn, table string, withoutRowID bool) (content, error) {
	key := "rowid"
	if withoutRowID {
		keys, err := textRows(ctx, conn, "SELECT name FROM pragma_table_info($1) WHERE pk > 0 ORDER BY pk", []any{table})
		if err != nil {
			return content{}, err
		}
		var quoted []string
		for _, k := range keys {
			quoted = append(quoted, "quote("+quote(k[0])+")")
		}
		key = strings.Join(quoted, " || ',' || ")
	}
	rows, err := conn.QueryContext(ctx, "SELECT "+key+", * FROM "+quote(table))
	if err != nil {
		return content{}, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return content{}, err
	}
	values, pointers := make([]sql.RawBytes, len(names)), make([]any, len(names))
	for i := range values {
		pointers[i] = &values[i]
	}
	c := content{Columns: map[string]uint64{}}
	for rows.Next() {
		if err := rows.Scan(pointers...); err != nil {
			return content{}, err
		}
		c.Rows++
		for i := 1; i < len(names); i++ {
			c.Columns[names[i]] += sum(values[0], values[i])
		}
	}
	return c, rows.Err()
}

func sum(key, value []byte) uint64 {
	h := fnv.New64a()
	head := binary.AppendUvarint(nil, uint64(len(key)))
	if value == nil {
		head = append(head, 0) // NULL is not the empty text
	}
	for _, part := range [][]byte{head, key, value} {
		_, _ = h.Write(part)
	}
	return h.Sum64()
}

// quote returns name as an identifier.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
