package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// Undrop implements [database.Undropper]. All of it is one transaction.
func (l *lock) Undrop(ctx context.Context, id int64, by string, record *ship.Record, tell func(string)) (out database.Trashed, err error) {
	err = l.change(ctx, func(conn *sql.Conn) error {
		all, err := readTrash(ctx, conn)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(t trashed) bool { return t.ID == id })
		if i < 0 {
			return ship.Errorf(ship.NotFound, "", "there is no %d in the trash", id)
		}
		t := all[i]
		t.By = by
		tell("bringing " + t.Name() + " back")
		if err := l.undrop(ctx, conn, &t, record); err != nil {
			return err
		}
		out = t.Trashed
		return nil
	})
	return out, err
}

func (l *lock) undrop(ctx context.Context, conn *sql.Conn, t *trashed, rec *ship.Record) error {
	if err := t.CanReturn(); err != nil {
		return err
	}
	taken, err := present(ctx, conn, *t)
	if err != nil {
		return err
	}
	if taken {
		return database.NameTaken(t.Trashed)
	}
	if t.Column == "" {
		err = undropTable(ctx, conn, t)
	} else {
		err = undropColumn(ctx, conn, t)
	}
	if err != nil {
		return fmt.Errorf("bring %s back: %w", t.Name(), err)
	}
	if err := execAll(ctx, conn, "DROP TABLE IF EXISTS "+t.copyName()); err != nil {
		return err
	}
	t.Status, t.Done, t.BackAt = database.TrashBack, len(t.Parts), time.Now().UTC()
	if err := writeTrash(ctx, conn, *t); err != nil || rec == nil {
		return err
	}
	return record(ctx, conn, ship.Work{Record: []ship.Record{*rec}})
}

// undropTable makes the table as it was and fills it.
func undropTable(ctx context.Context, conn *sql.Conn, t *trashed) error {
	if err := execAll(ctx, conn, t.Original); err != nil {
		return err
	}
	_, columns, err := lookAt(ctx, conn, t.Table)
	if err != nil {
		return err
	}
	var names []string
	for _, c := range columns {
		if !c.generated {
			names = append(names, ident(c.name))
		}
	}
	list := strings.Join(names, ", ")
	done, err := conn.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %[2]s FROM %[3]s", ident(t.Table), list, t.copyName()))
	if err != nil {
		return err
	}
	if t.Returned, err = done.RowsAffected(); err != nil {
		return err
	}
	if err := remake(ctx, conn, t); err != nil {
		return err
	}
	var lost int64
	if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM pragma_foreign_key_check(?)", t.Table).Scan(&lost); err == nil && lost > 0 {
		t.Notes = append(t.Notes, fmt.Sprintf("%d rows of %s refer to rows that are gone meanwhile", lost, t.Table))
	}
	return nil
}

// remake makes indexes and triggers again whose names are free.
func remake(ctx context.Context, conn *sql.Conn, t *trashed) error {
	for _, p := range t.Parts {
		if p.Kind != "index" && p.Kind != "trigger" {
			continue
		}
		var taken int
		if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = ? COLLATE NOCASE", p.Name).Scan(&taken); err != nil {
			return err
		}
		if taken > 0 {
			t.Notes = append(t.Notes, fmt.Sprintf("%s %s is not made again: there is something of that name", p.Kind, p.Name))
			continue
		}
		if err := execAll(ctx, conn, "SAVEPOINT remake"); err != nil {
			return err
		}
		end := []string{"RELEASE remake"}
		if _, err := conn.ExecContext(ctx, p.SQL); err != nil {
			t.Notes = append(t.Notes, fmt.Sprintf("%s %s is not made again: %v", p.Kind, p.Name, err))
			end = []string{"ROLLBACK TO remake", "RELEASE remake"}
		}
		if err := execAll(ctx, conn, end...); err != nil {
			return err
		}
	}
	return nil
}

// undropColumn makes the table anew with the column where it was, which takes
// every kind of column, and fills it from the copy by the key.
func undropColumn(ctx context.Context, conn *sql.Conn, t *trashed) error {
	name, columns, err := lookAt(ctx, conn, t.Table)
	if err != nil {
		return err
	}
	if name == "" {
		return ship.Errorf(ship.Refused, "bring the table back first", "there is no table %s any more", t.Table)
	}
	if err := t.SameKey(keyColumns(columns)); err != nil {
		return err
	}
	def, err := lookAtDefinition(t)
	if err != nil {
		return err
	}
	missing, err := withoutValue(ctx, conn, t, name, def)
	if err != nil {
		return err
	}
	if def.NotNull && missing > 0 {
		t.Parts[0].SQL = sqltext.WithoutNotNull(t.Parts[0].SQL, sqltext.SQLite)
		t.Notes = append(t.Notes, fmt.Sprintf("%s may be NULL now: it has no default, and %d rows written since it was dropped have no value", t.Name(), missing))
	}
	again, err := objectsOf(ctx, conn, name)
	if err != nil {
		return err
	}
	made, err := withColumn(ctx, conn, t, name)
	if err != nil {
		return err
	}
	if err := rebuild(ctx, conn, t, name, made, columns, def); err != nil {
		return err
	}
	for _, o := range again {
		if err := execAll(ctx, conn, o.SQL); err != nil {
			return fmt.Errorf("make %s %s again: %w", o.Kind, o.Name, err)
		}
	}
	return remake(ctx, conn, t)
}

// lookAtDefinition reads the column's definition.
func lookAtDefinition(t *trashed) (sqltext.ColumnDef, error) {
	tree, err := createTable(t.Original)
	if err != nil {
		return sqltext.ColumnDef{}, err
	}
	for _, p := range tree.Parts {
		if p.Verb == "ADD COLUMN" && strings.EqualFold(p.Name, t.Column) {
			return p.Def, nil
		}
	}
	return sqltext.ColumnDef{}, ship.Errorf(ship.Refused, "", "the definition of %s cannot be read", t.Name())
}

// withoutValue counts the rows that would have NULL in the column.
func withoutValue(ctx context.Context, conn *sql.Conn, t *trashed, name string, def sqltext.ColumnDef) (n int64, err error) {
	if def.Generated != "" || !def.NotNull || def.Default != "" && !strings.EqualFold(def.Default, "null") {
		return 0, nil
	}
	err = conn.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM %s AS t LEFT JOIN %s AS x ON %s WHERE x.value IS NULL", ident(name), t.copyName(), sameRow(t))).Scan(&n)
	return n, err
}

// sameRow joins the table t and the copy x.
func sameRow(t *trashed) string {
	on := make([]string, len(t.Key))
	for i, k := range t.Key {
		on[i] = fmt.Sprintf("t.%s = x.k%d", ident(k), i)
	}
	return strings.Join(on, " AND ")
}

// withColumn returns CREATE TABLE of the table as it is now, under another
// name, with the column and its constraints put in.
func withColumn(ctx context.Context, conn *sql.Conn, t *trashed, name string) (string, error) {
	var text string
	if err := conn.QueryRowContext(ctx, "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?", name).Scan(&text); err != nil {
		return "", err
	}
	tree, err := createTable(text)
	if err != nil {
		return "", err
	}
	text = tree.SQL
	begin := strings.LastIndex(text[:tree.Parts[0].Start], "(")
	last := tree.Parts[len(tree.Parts)-1].End
	at := placeFor(tree, t.After)
	var constraints strings.Builder
	for _, p := range t.Parts {
		if p.Kind == "constraint" {
			constraints.WriteString(", " + p.SQL)
		}
	}
	body := text[begin+1:last] + constraints.String() + text[last:]
	if at == 0 {
		body = t.Parts[0].SQL + ", " + body
	} else {
		body = body[:at-begin-1] + ", " + t.Parts[0].SQL + body[at-begin-1:]
	}
	return "CREATE TABLE _shiplock_undrop (" + body, nil
}

// placeFor returns where the text of a column goes: behind the one it stood
// behind or, when that is gone, behind the last. 0 is before all of them.
func placeFor(tree *sqltext.Tree, after string) int {
	at := 0
	for _, p := range tree.Parts {
		if p.Verb != "ADD COLUMN" || after == "" {
			continue
		}
		at = p.End
		if strings.EqualFold(p.Name, after) {
			break
		}
	}
	return at
}

// rebuild puts the new table in the place of the one there is.
func rebuild(ctx context.Context, conn *sql.Conn, t *trashed, name, made string, columns []column, def sqltext.ColumnDef) error {
	var into, from []string
	for _, c := range columns {
		if !c.generated {
			into, from = append(into, ident(c.name)), append(from, "t."+ident(c.name))
		}
	}
	join := ""
	if def.Generated == "" {
		other := def.Default
		if other == "" {
			other = "NULL"
		}
		into = append(into, ident(t.Column))
		from = append(from, fmt.Sprintf("CASE WHEN x.rowid IS NULL THEN %s ELSE x.value END", other))
		join = fmt.Sprintf("LEFT JOIN %s AS x ON %s", t.copyName(), sameRow(t))
		if err := conn.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM %s AS t JOIN %s AS x ON %s", ident(name), t.copyName(), sameRow(t))).Scan(&t.Returned); err != nil {
			return err
		}
	}
	seq, counted, err := sequence(ctx, conn, name)
	if err != nil {
		return err
	}
	err = execAll(ctx, conn, "PRAGMA legacy_alter_table = ON", made,
		fmt.Sprintf("INSERT INTO _shiplock_undrop (%s) SELECT %s FROM %s AS t %s", strings.Join(into, ", "), strings.Join(from, ", "), ident(name), join),
		"DROP TABLE "+ident(name), "ALTER TABLE _shiplock_undrop RENAME TO "+ident(name), "PRAGMA legacy_alter_table = OFF")
	if err != nil || !counted {
		return err
	}
	_, err = conn.ExecContext(ctx, "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", seq, name)
	return err
}

// sequence returns how far AUTOINCREMENT of a table has counted.
func sequence(ctx context.Context, conn *sql.Conn, table string) (n int64, counted bool, err error) {
	var there int
	if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_sequence'").Scan(&there); err != nil || there == 0 {
		return 0, false, err
	}
	var last sql.NullInt64
	err = conn.QueryRowContext(ctx, "SELECT max(seq) FROM sqlite_sequence WHERE name = ?", table).Scan(&last)
	return last.Int64, last.Valid, err
}
