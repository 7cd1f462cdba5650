package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/database"
)

// The kinds of parts that are carried out in ways of their own.
const (
	partTable    = "table"
	partColumn   = "column"
	partDefault  = "default"
	partSequence = "sequence"
	partNotNull  = "not null"
	partForeign  = "foreign key"
	partCheck    = "check"
	partUnique   = "unique index" // of a constraint, which follows
	partIndex    = "index"
)

// columnText is a column as CREATE TABLE and ADD COLUMN have it, without NOT
// NULL, default and identity.
const columnText = `quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
	|| CASE WHEN a.attcollation <> y.typcollation THEN (SELECT ' COLLATE ' || l.collname_q FROM (SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.collname) AS collname_q
		FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace) l WHERE l.oid = a.attcollation) ELSE '' END
	|| CASE coalesce(to_jsonb(a)->>'attgenerated', '') WHEN 's' THEN ' GENERATED ALWAYS AS (' || pg_get_expr(ad.adbin, ad.adrelid) || ') STORED'
		WHEN 'v' THEN ' GENERATED ALWAYS AS (' || pg_get_expr(ad.adbin, ad.adrelid) || ')' ELSE '' END`

// fromColumns are the columns that are asked for.
const fromColumns = ` FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid LEFT JOIN pg_attrdef ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum
	WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped AND ($2::int2 = 0 OR a.attnum = $2::int2) `

// about is the condition that a list of columns has ours.
const about = `($2::int2 = 0 OR $2::int2 = ANY (%s))`

// sequences are those a column owns.
const sequences = ` FROM pg_depend d JOIN pg_sequence s ON s.seqrelid = d.objid JOIN pg_class c ON c.oid = d.objid JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
	WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::oid AND ($2::int2 = 0 OR d.refobjsubid = $2::int2) `

const sequenceText = `format('START %s INCREMENT %s MINVALUE %s MAXVALUE %s CACHE %s%s', s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END)`

const rightsOf = `string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type)`

const granteeOf = `CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END`

// definitions lists queries that yield parts, as kind, name and SQL, in the
// order in which they are made again. $1 is the oid of the table, $2 the number
// of the column, 0 for the whole table.
func definitions() []string {
	return []string{
		`SELECT 'sequence', c.oid::regclass::text, format('CREATE SEQUENCE %s AS %s ', c.oid::regclass, format_type(s.seqtypid, NULL)) || ` + sequenceText + sequences + ` AND d.deptype = 'a'`,
		`SELECT 'table', $1::oid::regclass::text, format('CREATE %sTABLE %s (%s)%s', CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END, $1::oid::regclass,
			(SELECT string_agg(` + columnText + `, ', ' ORDER BY a.attnum)` + fromColumns + `), coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', ''))
			FROM pg_class c WHERE c.oid = $1::oid AND $2::int2 = 0`,
		`SELECT 'column', a.attname, format('ALTER TABLE %s ADD COLUMN ', $1::oid::regclass) || ` + columnText + fromColumns + ` AND $2::int2 <> 0`,
		`SELECT 'default', a.attname, format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', $1::oid::regclass, a.attname, pg_get_expr(ad.adbin, ad.adrelid))` + fromColumns +
			` AND ad.adbin IS NOT NULL AND coalesce(to_jsonb(a)->>'attgenerated', '') = '' ORDER BY a.attnum`,
		`SELECT 'sequence owner', a.attname, format('ALTER SEQUENCE %s OWNED BY %s.%I', c.oid::regclass, $1::oid::regclass, a.attname)` + sequences + ` AND d.deptype = 'a'`,
		`SELECT 'not null', a.attname, format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', $1::oid::regclass, a.attname)` + fromColumns + ` AND a.attnotnull ORDER BY a.attnum`,
		`SELECT 'identity', a.attname, format('ALTER TABLE %s ALTER COLUMN %I ADD GENERATED %s AS IDENTITY (', $1::oid::regclass, a.attname, CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END)
			|| 'SEQUENCE NAME ' || c.oid::regclass || ' ' || ` + sequenceText + ` || ')'` + sequences + ` AND d.deptype = 'i'`,
		`SELECT 'sequence value', c.oid::regclass::text, format('SELECT pg_catalog.setval(%L, %s)', c.oid::regclass, pg_sequence_last_value(c.oid))` + sequences + ` AND pg_sequence_last_value(c.oid) IS NOT NULL`,
		`SELECT 'check', k.conname, format('ALTER TABLE %s ADD CONSTRAINT %I %s', $1::oid::regclass, k.conname, pg_get_constraintdef(k.oid))
			FROM pg_constraint k WHERE k.conrelid = $1::oid AND k.contype = 'c' AND k.conislocal AND ` + fmt.Sprintf(about, "k.conkey") + ` ORDER BY k.conname`,
		`SELECT v.kind, k.conname, v.text FROM pg_constraint k, LATERAL (VALUES (1, 'unique index', pg_get_indexdef(k.conindid)),
				(2, CASE k.contype WHEN 'p' THEN 'primary key' ELSE 'unique' END, format('ALTER TABLE %s ADD CONSTRAINT %I %s USING INDEX %I%s', $1::oid::regclass, k.conname,
					CASE k.contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END, (SELECT relname FROM pg_class WHERE oid = k.conindid),
					CASE WHEN k.condeferrable THEN ' DEFERRABLE' ELSE '' END || CASE WHEN k.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END))) v (n, kind, text)
			WHERE k.conrelid = $1::oid AND k.contype IN ('p', 'u') AND ` + fmt.Sprintf(about, "k.conkey") + ` ORDER BY k.contype, k.conname, v.n`,
		`SELECT 'exclude', k.conname, format('ALTER TABLE %s ADD CONSTRAINT %I %s', $1::oid::regclass, k.conname, pg_get_constraintdef(k.oid))
			FROM pg_constraint k WHERE k.conrelid = $1::oid AND k.contype = 'x' AND ` + fmt.Sprintf(about, "k.conkey"),
		`SELECT 'index', c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
			WHERE i.indrelid = $1::oid AND i.indisvalid AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = $1::oid)
			AND ($2::int2 = 0 OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::oid AND d.refobjsubid = $2::int2))
			ORDER BY c.relname`,
		`SELECT 'foreign key', k.conname, format('ALTER TABLE %s ADD CONSTRAINT %I %s', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid))
			FROM pg_constraint k WHERE k.contype = 'f' AND k.conparentid = 0 AND (k.conrelid = $1::oid AND ` + fmt.Sprintf(about, "k.conkey") + ` OR k.confrelid = $1::oid AND ` + fmt.Sprintf(about, "k.confkey") + `) ORDER BY k.conname`,
		`SELECT 'statistics', x.stxname, pg_get_statisticsobjdef(x.oid) FROM pg_statistic_ext x WHERE x.stxrelid = $1::oid AND ` + fmt.Sprintf(about, "x.stxkeys::int2[]"),
		`SELECT 'trigger', g.tgname, pg_get_triggerdef(g.oid) || CASE g.tgenabled WHEN 'D' THEN format('; ALTER TABLE %s DISABLE TRIGGER %I', $1::oid::regclass, g.tgname) ELSE '' END
			FROM pg_trigger g WHERE g.tgrelid = $1::oid AND NOT g.tgisinternal AND ` + fmt.Sprintf(about, "g.tgattr::int2[]"),
		`SELECT 'row security', '', format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', $1::oid::regclass) FROM pg_class c WHERE c.oid = $1::oid AND c.relrowsecurity AND $2::int2 = 0
			UNION ALL SELECT 'row security', '', format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', $1::oid::regclass) FROM pg_class c WHERE c.oid = $1::oid AND c.relforcerowsecurity AND $2::int2 = 0`,
		`SELECT 'policy', o.polname, concat_ws(' ', format('CREATE POLICY %I ON %s AS', o.polname, $1::oid::regclass), CASE WHEN o.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
			'FOR', CASE o.polcmd WHEN '*' THEN 'ALL' WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' ELSE 'DELETE' END,
			'TO', (SELECT string_agg(CASE m WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(m)) END, ', ') FROM unnest(o.polroles) m),
			'USING (' || pg_get_expr(o.polqual, o.polrelid) || ')', 'WITH CHECK (' || pg_get_expr(o.polwithcheck, o.polrelid) || ')')
			FROM pg_policy o WHERE o.polrelid = $1::oid AND $2::int2 = 0 ORDER BY o.polname`,
		`SELECT 'replica identity', '', format('ALTER TABLE %s REPLICA IDENTITY %s', $1::oid::regclass, CASE c.relreplident WHEN 'n' THEN 'NOTHING' ELSE 'FULL' END)
			FROM pg_class c WHERE c.oid = $1::oid AND $2::int2 = 0 AND c.relreplident IN ('n', 'f')`,
		`SELECT 'comment', '', CASE WHEN d.objsubid = 0 THEN format('COMMENT ON TABLE %s IS %L', $1::oid::regclass, d.description)
			ELSE format('COMMENT ON COLUMN %s.%I IS %L', $1::oid::regclass, (SELECT attname FROM pg_attribute WHERE attrelid = $1::oid AND attnum = d.objsubid), d.description) END
			FROM pg_description d WHERE d.classoid = 'pg_class'::regclass AND d.objoid = $1::oid AND ($2::int2 = 0 OR d.objsubid = $2::int2) ORDER BY d.objsubid`,
		`SELECT 'owner', '', format('ALTER TABLE %s OWNER TO %I', $1::oid::regclass, pg_get_userbyid(c.relowner)) FROM pg_class c WHERE c.oid = $1::oid AND $2::int2 = 0 AND c.relowner <> current_user::regrole`,
		`SELECT 'grant', '', format('GRANT %s ON TABLE %s TO %s%s', ` + rightsOf + `, $1::oid::regclass, ` + granteeOf + `, CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
			FROM pg_class c, LATERAL aclexplode(c.relacl) x WHERE c.oid = $1::oid AND $2::int2 = 0 AND x.grantee <> c.relowner GROUP BY x.grantee, x.is_grantable`,
		`SELECT 'grant', '', format('GRANT %s ON SEQUENCE %s TO %s%s', ` + rightsOf + `, c.oid::regclass, ` + granteeOf + `, CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
			FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S', LATERAL aclexplode(c.relacl) x
			WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::oid AND ($2::int2 = 0 OR d.refobjsubid = $2::int2) AND x.grantee <> c.relowner GROUP BY c.oid, x.grantee, x.is_grantable`,
		`SELECT 'grant', a.attname, format('GRANT %s ON TABLE %s TO %s%s', string_agg(format('%s (%I)', x.privilege_type, a.attname), ', '), $1::oid::regclass, ` + granteeOf + `, CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
			FROM pg_attribute a, LATERAL aclexplode(a.attacl) x WHERE a.attrelid = $1::oid AND NOT a.attisdropped AND ($2::int2 = 0 OR a.attnum = $2::int2) GROUP BY a.attname, x.grantee, x.is_grantable`,
	}
}

// define reads how a table or a column is made, within a transaction whose
// search path is empty, so that every name is qualified.
func (r target) define(ctx context.Context, conn *pgx.Conn) ([]database.Part, error) {
	var all []database.Part
	for _, d := range definitions() {
		rows, err := conn.Query(ctx, d, r.oid, r.attribute)
		if err != nil {
			return nil, err
		}
		parts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p database.Part, err error) {
			return p, row.Scan(&p.Kind, &p.Name, &p.SQL)
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d[:min(len(d), 40)], err)
		}
		all = append(all, parts...)
	}
	return all, nil
}
