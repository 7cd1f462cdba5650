package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/sqltext"
)

var _ database.Shaper = (*DB)(nil)

// foundPart is the object a part names, with its column's number or 0.
const foundPart = `found AS (
	SELECT to_regclass($1) AS rel, CASE WHEN $2 = '' THEN 0 ELSE (
		SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attname = $2 AND NOT a.attisdropped) END AS num)`

// dependentsQuery yields what pg_depend has. Rules of views stand for the
// views; what belongs to the object itself, and goes with it, is left out, and
// so is what only says who owns what.
const dependentsQuery = `WITH ` + foundPart + `,
	deps AS (
		SELECT DISTINCT d.classid, d.objid, d.objsubid, d.deptype FROM pg_depend d, found
		WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = found.rel AND d.deptype IN ('n', 'a')
			AND (found.num = 0 AND $2 = '' OR d.refobjsubid = found.num))
	SELECT CASE c.relkind WHEN 'm' THEN 'materialized view' WHEN 'v' THEN 'view' ELSE 'rule of' END, c.oid::regclass::text
		FROM deps JOIN pg_rewrite r ON deps.classid = 'pg_rewrite'::regclass AND r.oid = deps.objid JOIN pg_class c ON c.oid = r.ev_class, found
		WHERE c.oid <> found.rel
	UNION SELECT 'foreign key', k.conname || ' of ' || k.conrelid::regclass::text
		FROM pg_constraint k, found WHERE k.contype = 'f' AND k.confrelid = found.rel AND k.conrelid <> found.rel AND k.conparentid = 0
			AND ($2 = '' OR found.num = ANY (k.confkey))
	UNION SELECT 'policy', o.polname || ' of ' || o.polrelid::regclass::text
		FROM deps JOIN pg_policy o ON deps.classid = 'pg_policy'::regclass AND o.oid = deps.objid, found WHERE $2 <> '' OR o.polrelid <> found.rel
	UNION SELECT 'trigger', g.tgname || ' of ' || g.tgrelid::regclass::text
		FROM deps JOIN pg_trigger g ON deps.classid = 'pg_trigger'::regclass AND g.oid = deps.objid, found WHERE NOT g.tgisinternal AND ($2 <> '' OR g.tgrelid <> found.rel)
	UNION SELECT 'function', p.oid::regprocedure::text
		FROM deps JOIN pg_proc p ON deps.classid = 'pg_proc'::regclass AND p.oid = deps.objid
	UNION SELECT 'generated column', a.attrelid::regclass::text || '.' || a.attname
		FROM deps JOIN pg_attrdef f ON deps.classid = 'pg_attrdef'::regclass AND f.oid = deps.objid
		JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum, found
		WHERE $2 <> '' AND NOT (a.attrelid = found.rel AND a.attnum = found.num)
	UNION SELECT CASE WHEN c.relkind = 'p' THEN 'partitioned table' ELSE 'table' END, c.oid::regclass::text
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid, found WHERE i.inhparent = found.rel AND $2 = '' AND NOT c.relispartition
	ORDER BY 1, 2`

// functionsQuery yields the code of functions, of which the catalog does not
// know what it uses.
const functionsQuery = `SELECT p.oid::regprocedure::text, p.prosrc,
		coalesce((SELECT string_agg(DISTINCT t.relname, ' ') FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid WHERE g.tgfoid = p.oid AND NOT g.tgisinternal), '')
	FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
	WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', '_shiplock', '_shiplock_trash') AND n.nspname NOT LIKE 'pg\_%' AND p.prosrc <> '' AND l.lanname NOT IN ('c', 'internal')
		AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e') ORDER BY 1`

// Dependents asks pg_depend and reads the bodies of functions.
func (d *DB) Dependents(ctx context.Context, parts []database.Piece) (all []database.Dependent, err error) {
	err = d.read(ctx, func(conn *pgx.Conn) error {
		functions, err := conn.Query(ctx, functionsQuery)
		if err != nil {
			return err
		}
		bodies, err := pgx.CollectRows(functions, func(row pgx.CollectableRow) (x [3]string, err error) {
			return x, row.Scan(&x[0], &x[1], &x[2])
		})
		if err != nil {
			return err
		}
		for _, p := range parts {
			found, err := dependents(ctx, conn, p)
			if err != nil {
				return fmt.Errorf("find what needs %s: %w", p, err)
			}
			all = append(all, found...)
			for _, b := range bodies {
				if namesPart(b[1], p) || ofTrigger(b[1], b[2], p) {
					all = append(all, database.Dependent{Kind: "function", Name: b[0], On: p, Read: true})
				}
			}
		}
		return nil
	})
	return all, err
}

func dependents(ctx context.Context, conn *pgx.Conn, p database.Piece) (all []database.Dependent, err error) {
	rows, err := conn.Query(ctx, dependentsQuery, quotedName(p.Table), p.Column)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (x database.Dependent, err error) {
		x.On = p
		return x, row.Scan(&x.Kind, &x.Name)
	})
}

// ofTrigger tells whether the code of a trigger of the part's table, which knows
// the table as NEW and OLD, has the column's name in it.
func ofTrigger(body, tables string, p database.Piece) bool {
	if p.Column == "" || !slices.Contains(strings.Fields(tables), p.Table[strings.LastIndex(p.Table, ".")+1:]) {
		return false
	}
	words := strings.FieldsFunc(body, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, p.Column) })
}

// quotedName writes a name so that the server does not fold it again.
func quotedName(name string) string { return pgx.Identifier(strings.Split(name, ".")).Sanitize() }

// namesPart tells whether a function's code uses a part, statement by
// statement; code that is no SQL does when the words are in it.
func namesPart(body string, p database.Piece) bool {
	taken := sqltext.Taken{Kind: p.Kind, Table: p.Table, Column: p.Column}
	if p.Kind == "function" || p.Kind == "type" || p.Kind == "sequence" {
		return strings.Contains(strings.ToLower(body), strings.ToLower(p.Table[strings.LastIndex(p.Table, ".")+1:]))
	}
	for _, statement := range strings.Split(body, ";") {
		if sqltext.Uses(statement, sqltext.Postgres, taken) {
			return true
		}
	}
	return false
}

// Required returns the columns that are NOT NULL, have no default, and are
// neither generated nor an identity.
func (d *DB) Required(ctx context.Context, columns []database.Piece) (all []database.Piece, err error) {
	err = d.read(ctx, func(conn *pgx.Conn) error {
		for _, p := range columns {
			var required bool
			err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attname = $2 AND NOT a.attisdropped
				AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '')`, quotedName(p.Table), p.Column).Scan(&required)
			if err != nil {
				return err
			}
			if required {
				all = append(all, p)
			}
		}
		return nil
	})
	return all, err
}
