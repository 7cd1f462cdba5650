package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"

	"github.com/shiplock/shiplock/internal/database"
)

// own is the condition that an object is neither SQLite's nor ours.
const own = `m.tbl_name NOT LIKE 'sqlite\_%' ESCAPE '\' AND m.tbl_name NOT LIKE '\_shiplock\_%' ESCAPE '\'`

// The queries yield kind, name and definition.
var catalogQueries = []string{
	`SELECT m.type, m.name, m.sql FROM sqlite_schema m WHERE m.sql IS NOT NULL AND ` + own,
	`SELECT 'order', m.name, group_concat(x.name, ', ') FROM sqlite_schema m, pragma_table_xinfo(m.name) x WHERE m.type = 'table' AND ` + own + ` GROUP BY m.name`,
	`SELECT 'column', m.name || '.' || x.name, x.type || CASE WHEN x."notnull" THEN ' not null' ELSE '' END
		|| coalesce(' default ' || x.dflt_value, '') || CASE WHEN x.pk THEN ' primary key ' || x.pk ELSE '' END
		|| CASE x.hidden WHEN 2 THEN ' generated virtual' WHEN 3 THEN ' generated stored' WHEN 1 THEN ' hidden' ELSE '' END
		FROM sqlite_schema m, pragma_table_xinfo(m.name) x WHERE m.type = 'table' AND ` + own,
	`SELECT 'constraint', m.name || '.foreign key ' || group_concat(f."from", ', '), 'references ' || f."table" || ' (' || coalesce(group_concat(f."to", ', '), '') || ')'
		|| ' on update ' || f.on_update || ' on delete ' || f.on_delete || ' match ' || f.match
		FROM sqlite_schema m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table' AND ` + own + ` GROUP BY m.name, f.id`,
	`SELECT 'constraint', m.name || '.' || CASE i.origin WHEN 'pk' THEN 'primary key' ELSE 'unique' END || ' ' || (SELECT group_concat(x.name, ', ') FROM pragma_index_info(i.name) x), CASE i.origin WHEN 'pk' THEN 'primary key' ELSE 'unique' END
		FROM sqlite_schema m, pragma_index_list(m.name) i WHERE m.type = 'table' AND i.origin <> 'c' AND ` + own,
}

// Catalog describes the schema in one snapshot. The text of a table is what
// CREATE TABLE said, which holds CHECK constraints too.
func (d *DB) Catalog(ctx context.Context) (*database.Catalog, error) {
	c := &database.Catalog{}
	err := d.read(ctx, func(conn *sql.Conn) error {
		if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
			return err
		}
		for _, query := range catalogQueries {
			if err := describe(ctx, conn, c, query); err != nil {
				return fmt.Errorf("describe schema: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.Sort()
	return c, nil
}

func describe(ctx context.Context, conn *sql.Conn, c *database.Catalog, query string) error {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var o database.Object
		if err := rows.Scan(&o.Kind, &o.Name, &o.Text); err != nil {
			return err
		}
		o.Text = normalise(o.Text)
		c.Objects = append(c.Objects, o)
	}
	return rows.Err()
}

// part matches a piece of SQL: comment, string, quoted name, word, space, sign.
var part = regexp.MustCompile("(?s)--[^\n]*|/\\*.*?\\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\\[[^\\]]*\\]|[\\w$.\\x80-\\x{10FFFF}]+|\\s+|.")

var plainName = regexp.MustCompile(`^[A-Za-z_]\w*$`)

// normalise makes texts equal that differ in space, comments and needless
// quotes: ALTER TABLE leaves such differences behind.
func normalise(text string) string {
	var out []string
	for _, p := range part.FindAllString(text, -1) {
		switch {
		case strings.TrimSpace(p) == "", strings.HasPrefix(p, "--"), strings.HasPrefix(p, "/*"):
			continue
		case len(p) > 1 && strings.ContainsRune("\"`[", rune(p[0])):
			if bare := p[1 : len(p)-1]; plainName.MatchString(bare) {
				p = bare
			}
		}
		out = append(out, p)
	}
	return strings.Join(out, " ")
}
