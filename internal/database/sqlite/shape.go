package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/sqltext"
)

var _ database.Shaper = (*DB)(nil)

// Dependents reads the texts of views, triggers and indexes, and the foreign
// keys of other tables. SQLite has no functions of its own.
func (d *DB) Dependents(ctx context.Context, parts []database.Piece) (all []database.Dependent, err error) {
	err = d.read(ctx, func(conn *sql.Conn) error {
		codes, err := triples(ctx, conn, "SELECT type, name, tbl_name || char(0) || sql FROM sqlite_schema m WHERE type IN ('view', 'trigger', 'index') AND sql IS NOT NULL AND "+own)
		if err != nil {
			return err
		}
		keys, err := triples(ctx, conn, `SELECT m.name, f."table", coalesce(f."to", '') FROM sqlite_schema m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table' AND `+own)
		if err != nil {
			return err
		}
		for _, p := range parts {
			for _, c := range codes {
				table, text, _ := strings.Cut(c[2], "\x00")
				if needs(c[0], c[1], table, text, p) {
					all = append(all, database.Dependent{Kind: c[0], Name: c[1], On: p, Read: c[0] == "trigger"})
				}
			}
			for _, k := range keys {
				if strings.EqualFold(k[1], p.Table) && !strings.EqualFold(k[0], p.Table) && (p.Column == "" || strings.EqualFold(k[2], p.Column)) {
					all = append(all, database.Dependent{Kind: "foreign key of", Name: k[0], On: p})
				}
			}
		}
		return nil
	})
	return all, err
}

// needs tells whether an object of a kind needs a part. What belongs to a table
// goes with it.
func needs(kind, name, table, text string, p database.Piece) bool {
	if p.Column == "" && kind != "view" && strings.EqualFold(table, p.Table) || kind == p.Kind && strings.EqualFold(name, p.Table) {
		return false
	}
	taken := sqltext.Taken{Kind: p.Kind, Table: p.Table, Column: p.Column}
	if kind != "index" {
		return sqltext.Uses(text, sqltext.SQLite, taken)
	}
	all, err := sqltext.Split(text, sqltext.SQLite)
	if err != nil || len(all) != 1 || !strings.EqualFold(table, p.Table) {
		return false
	}
	t := all[0].Tree(sqltext.SQLite)
	return slices.ContainsFunc(t.KeyColumns, func(c string) bool { return strings.EqualFold(c, p.Column) })
}

func triples(ctx context.Context, conn *sql.Conn, query string) (all [][3]string, err error) {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var x [3]string
		if err := rows.Scan(&x[0], &x[1], &x[2]); err != nil {
			return nil, err
		}
		all = append(all, x)
	}
	return all, rows.Err()
}

// Required returns the columns that are NOT NULL and have no default. The key
// of a table with rowids fills itself.
func (d *DB) Required(ctx context.Context, columns []database.Piece) (all []database.Piece, err error) {
	err = d.read(ctx, func(conn *sql.Conn) error {
		for _, p := range columns {
			var n int
			err := conn.QueryRowContext(ctx, `SELECT count(*) FROM pragma_table_xinfo(?) WHERE lower(name) = lower(?) AND "notnull" AND dflt_value IS NULL AND hidden = 0 AND pk = 0`,
				p.Table, p.Column).Scan(&n)
			if err != nil {
				return err
			}
			if n > 0 {
				all = append(all, p)
			}
		}
		return nil
	})
	return all, err
}
