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

// othersQuery yields what needs a type, a function or a sequence, as pg_depend
// has it: without CASCADE the server refuses to drop it, with it these go too.
const othersQuery = `WITH found AS (
		SELECT 'pg_type'::regclass AS class, t.oid FROM pg_type t
			WHERE $2 IN ('type', 'domain') AND to_regtype($1) IN (t.oid, t.typelem) AND (t.oid = to_regtype($1) OR t.typcategory = 'A')
		UNION SELECT 'pg_proc'::regclass, p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
			WHERE $2 = 'function' AND CASE WHEN $1 LIKE '%"."%' THEN format('"%s"."%s"', n.nspname, p.proname) ELSE format('"%s"', p.proname) END = $1
		UNION SELECT 'pg_class'::regclass, to_regclass($1) WHERE $2 = 'sequence'),
	deps AS (
		SELECT DISTINCT d.classid, d.objid, d.objsubid FROM pg_depend d JOIN found f ON d.refclassid = f.class AND d.refobjid = f.oid
			WHERE d.deptype IN ('n', 'a') AND NOT EXISTS (SELECT FROM found x WHERE x.class = d.classid AND x.oid = d.objid)
			AND NOT (d.classid = 'pg_constraint'::regclass AND EXISTS (SELECT FROM pg_constraint k WHERE k.oid = d.objid AND k.contypid = f.oid)))
	SELECT 'column', objid::regclass::text || '.' || a.attname
		FROM deps JOIN pg_attribute a ON a.attrelid = objid AND a.attnum = objsubid WHERE classid = 'pg_class'::regclass AND objsubid > 0 AND NOT a.attisdropped
	UNION SELECT 'default of', f.adrelid::regclass::text || '.' || a.attname
		FROM deps JOIN pg_attrdef f ON classid = 'pg_attrdef'::regclass AND f.oid = objid JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
	UNION SELECT 'trigger', g.tgname || ' of ' || g.tgrelid::regclass::text FROM deps JOIN pg_trigger g ON classid = 'pg_trigger'::regclass AND g.oid = objid
	UNION SELECT CASE c.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END, c.oid::regclass::text
		FROM deps JOIN pg_rewrite r ON classid = 'pg_rewrite'::regclass AND r.oid = objid JOIN pg_class c ON c.oid = r.ev_class
	UNION SELECT 'function', objid::regprocedure::text FROM deps WHERE classid = 'pg_proc'::regclass
	UNION SELECT 'object', pg_describe_object(classid, objid, objsubid) FROM deps
		WHERE classid NOT IN ('pg_attrdef'::regclass, 'pg_trigger'::regclass, 'pg_rewrite'::regclass, 'pg_proc'::regclass) AND NOT (classid = 'pg_class'::regclass AND objsubid > 0)
	ORDER BY 1, 2`

// functionsQuery yields the code of functions, of which the catalog does not
// know what it uses.
const functionsQuery = `SELECT p.oid::regprocedure::text, p.prosrc, l.lanname,
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
		bodies, err := pgx.CollectRows(functions, func(row pgx.CollectableRow) (x code, err error) {
			return x, row.Scan(&x.name, &x.body, &x.language, &x.tables)
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
				if b.names(p) || b.ofTrigger(p) {
					all = append(all, database.Dependent{Kind: "function", Name: b.name, On: p, Read: true})
				}
			}
		}
		return nil
	})
	return all, err
}

func dependents(ctx context.Context, conn *pgx.Conn, p database.Piece) (all []database.Dependent, err error) {
	query, of := dependentsQuery, p.Column
	if !ofName(p) {
		query, of = othersQuery, p.Kind
	}
	rows, err := conn.Query(ctx, query, quotedName(p.Table), of)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (x database.Dependent, err error) {
		x.On = p
		return x, row.Scan(&x.Kind, &x.Name)
	})
}

// ofName tells a part that statements use by its name from a type, a function or
// a sequence.
func ofName(p database.Piece) bool {
	return p.Kind != "function" && p.Kind != "type" && p.Kind != "domain" && p.Kind != "sequence"
}

// A code is a function's, with the tables whose triggers call it.
type code struct{ name, body, language, tables string }

// ofTrigger tells whether the code of a trigger of the part's table, which knows
// the table as NEW and OLD, has the column's name in it.
func (c code) ofTrigger(p database.Piece) bool {
	return p.Column != "" && slices.Contains(strings.Fields(c.tables), p.Table[strings.LastIndex(p.Table, ".")+1:]) && hasWord(c.body, p.Column)
}

func hasWord(text, word string) bool {
	words := strings.FieldsFunc(text, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, word) })
}

// quotedName writes a name so that the server does not fold it again.
func quotedName(name string) string { return pgx.Identifier(strings.Split(name, ".")).Sanitize() }

// names tells whether the code uses a part, statement by statement. Code that
// makes its statements as it goes, or is in another language, does when the words
// are in it.
func (c code) names(p database.Piece) bool {
	table := p.Table[strings.LastIndex(p.Table, ".")+1:]
	if !ofName(p) {
		return hasWord(c.body, table)
	}
	if c.language != "sql" && c.language != "plpgsql" || hasWord(c.body, "EXECUTE") {
		return hasWord(c.body, table) && (p.Column == "" || hasWord(c.body, p.Column))
	}
	for _, statement := range strings.Split(c.body, ";") {
		if sqltext.Uses(statement, sqltext.Postgres, sqltext.Taken{Kind: p.Kind, Table: p.Table, Column: p.Column}) {
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
