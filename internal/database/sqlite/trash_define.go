package sqlite

import (
	"context"
	"database/sql"
	"regexp"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// createTable reads a table as the schema has it.
func createTable(text string) (*sqltext.Tree, error) {
	all, err := sqltext.Split(text, sqltext.SQLite)
	if err != nil {
		return nil, err
	}
	if len(all) == 1 {
		if t := all[0].Tree(sqltext.SQLite); t.Unread == "" && len(t.Parts) > 0 {
			return t, nil
		}
	}
	return nil, ship.Errorf(ship.Refused, "", "the definition of the table cannot be read: %s", text)
}

// define reads how what is to be dropped is made. The first part is the table
// or column itself.
func define(ctx context.Context, conn *sql.Conn, t *trashed) error {
	if err := conn.QueryRowContext(ctx, "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?", t.Table).Scan(&t.Original); err != nil {
		return err
	}
	objects, err := objectsOf(ctx, conn, t.Table)
	if err != nil {
		return err
	}
	if t.Column == "" {
		t.Parts = append([]database.Part{{Kind: "table", Name: t.Table, SQL: t.Original}}, objects...)
		return nil
	}
	tree, err := createTable(t.Original)
	if err != nil {
		return err
	}
	word := regexp.MustCompile(`(?i)(^|[^\w])` + regexp.QuoteMeta(t.Column) + `($|[^\w])`)
	for _, p := range tree.Parts {
		text := tree.SQL[p.Start:p.End]
		own := slices.ContainsFunc(p.Constraint.Columns, func(c string) bool { return strings.EqualFold(c, t.Column) }) || p.Constraint.Kind == "CHECK" && word.MatchString(text)
		switch {
		case p.Verb == "ADD COLUMN" && strings.EqualFold(p.Name, t.Column):
			t.Parts = append([]database.Part{{Kind: "column", Name: t.Column, SQL: text}}, t.Parts...)
		case p.Verb == "ADD CONSTRAINT" && own:
			t.Parts = append(t.Parts, database.Part{Kind: "constraint", Name: p.Name, SQL: text})
		}
	}
	if len(t.Parts) == 0 || t.Parts[0].Kind != "column" {
		return ship.Errorf(ship.Refused, "", "the column is not found in: %s", t.Original)
	}
	for _, o := range objects {
		if word.MatchString(o.SQL) {
			t.Parts = append(t.Parts, o)
		}
	}
	return nil
}

// objectsOf returns the indexes and triggers of a table that somebody made.
func objectsOf(ctx context.Context, conn *sql.Conn, table string) ([]database.Part, error) {
	rows, err := textRows(ctx, conn, "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND tbl_name = ? AND sql IS NOT NULL ORDER BY type, name", []any{table})
	if err != nil {
		return nil, err
	}
	all := make([]database.Part, len(rows))
	for i, row := range rows {
		all[i] = database.Part{Kind: row[0], Name: row[1], SQL: row[2]}
	}
	return all, nil
}
