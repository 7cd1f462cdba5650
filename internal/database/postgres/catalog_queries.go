package postgres

// The queries that describe tables and what belongs to them. Braces stand for
// fragments that catalogQueries fills in.
var relationQueries = []catalogQuery{
	{"table", `SELECT {rel}, concat_ws(' ',
			CASE c.relkind WHEN 'p' THEN 'partitioned table' WHEN 'f' THEN 'foreign table' ELSE 'table' END,
			CASE c.relpersistence WHEN 'u' THEN 'unlogged' END,
			'owner ' || quote_ident(pg_get_userbyid(c.relowner)),
			'partition by ' || pg_get_partkeydef(c.oid),
			'inherits ' || (SELECT string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = c.oid),
			pg_get_expr(c.relpartbound, c.oid),
			CASE WHEN c.relrowsecurity THEN 'row level security' END,
			CASE WHEN c.relforcerowsecurity THEN 'forced' END,
			CASE c.relreplident WHEN 'n' THEN 'replica identity nothing' WHEN 'f' THEN 'replica identity full' WHEN 'i' THEN 'replica identity index' END,
			'with (' || array_to_string(c.reloptions, ', ') || ')')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'f') AND {users} AND {own rel}`},
	{"order", `SELECT {rel}, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND {users} AND {own rel} GROUP BY 1`},
	{"column", `SELECT {rel} || '.' || quote_ident(a.attname), concat_ws(' ',
			format_type(a.atttypid, a.atttypmod),
			CASE WHEN a.attcollation <> t.typcollation THEN 'collate ' || (SELECT quote_ident(l.collname) FROM pg_collation l WHERE l.oid = a.attcollation) END,
			CASE WHEN a.attnotnull THEN 'not null' END,
			CASE {generated} WHEN 's' THEN 'generated stored' WHEN 'v' THEN 'generated virtual' ELSE CASE WHEN a.atthasdef THEN 'default' END END,
			pg_get_expr(ad.adbin, ad.adrelid),
			CASE a.attidentity WHEN 'a' THEN 'identity always' WHEN 'd' THEN 'identity by default' END)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
		JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef ad ON ad.adrelid = c.oid AND ad.adnum = a.attnum
		WHERE c.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND {users} AND {own rel}`},
	{"constraint", `SELECT {rel} || '.' || quote_ident(k.conname), pg_get_constraintdef(k.oid)
		FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE k.contype <> 't' AND {users} AND {own rel}`},
	{"index", `SELECT {rel}, pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END
			|| CASE WHEN i.indisclustered THEN ' CLUSTERED' ELSE '' END || CASE WHEN i.indisreplident THEN ' REPLICA IDENTITY' ELSE '' END
		FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('i', 'I') AND {users} AND {own rel}`},
	{"view", `SELECT {rel}, concat_ws(' ', 'owner', quote_ident(pg_get_userbyid(c.relowner)),
			'with (' || array_to_string(c.reloptions, ', ') || ')', pg_get_viewdef(c.oid))
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'v' AND {users} AND {own rel}`},
	{"materialized view", `SELECT {rel}, concat_ws(' ', 'owner', quote_ident(pg_get_userbyid(c.relowner)),
			CASE WHEN NOT c.relispopulated THEN 'not populated' END, pg_get_viewdef(c.oid))
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND {users} AND {own rel}`},
	{"trigger", `SELECT {rel} || '.' || quote_ident(g.tgname), pg_get_triggerdef(g.oid) || CASE g.tgenabled WHEN 'O' THEN '' ELSE ' enabled ' || g.tgenabled::text END
		FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE NOT g.tgisinternal AND {users} AND {own rel}`},
	{"rule", `SELECT {rel} || '.' || quote_ident(r.rulename), pg_get_ruledef(r.oid)
		FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE r.rulename <> '_RETURN' AND {users} AND {own rel}`},
	{"policy", `SELECT {rel} || '.' || quote_ident(o.polname), concat_ws(' ',
			CASE WHEN o.polpermissive THEN 'permissive' ELSE 'restrictive' END,
			CASE o.polcmd WHEN '*' THEN 'all' WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' ELSE 'delete' END,
			'to ' || (SELECT string_agg(CASE m WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(m)) END, ', ' ORDER BY m) FROM unnest(o.polroles) m),
			'using ' || pg_get_expr(o.polqual, o.polrelid), 'with check ' || pg_get_expr(o.polwithcheck, o.polrelid))
		FROM pg_policy o JOIN pg_class c ON c.oid = o.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {users} AND {own rel}`},
	{"sequence", `SELECT {rel}, concat_ws(' ', format_type(s.seqtypid, NULL), 'start', s.seqstart, 'increment', s.seqincrement,
			'min', s.seqmin, 'max', s.seqmax, 'cache', s.seqcache, CASE WHEN s.seqcycle THEN 'cycle' END,
			'owner ' || quote_ident(pg_get_userbyid(c.relowner)),
			'owned by ' || (SELECT o.refobjid::regclass::text || '.' || quote_ident(a.attname) FROM pg_depend o
				JOIN pg_attribute a ON a.attrelid = o.refobjid AND a.attnum = o.refobjsubid
				WHERE o.classid = 'pg_class'::regclass AND o.objid = c.oid AND o.deptype IN ('a', 'i') AND o.refclassid = 'pg_class'::regclass LIMIT 1))
		FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {users} AND {own rel}`},
	{"statistics", `SELECT format('%I.%I', n.nspname, x.stxname), pg_get_statisticsobjdef(x.oid)
		FROM pg_statistic_ext x JOIN pg_namespace n ON n.oid = x.stxnamespace WHERE {users}`},
	{"grant", `SELECT {rel} || ' to ' || {role}, {rights}
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
		LATERAL aclexplode(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) x
		WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND {users} AND {own rel} GROUP BY n.nspname, c.relname, x.grantee`},
	{"grant", `SELECT {rel} || '.' || quote_ident(a.attname) || ' to ' || {role}, {rights}
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid, LATERAL aclexplode(a.attacl) x
		WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND {users} AND {own rel} GROUP BY n.nspname, c.relname, a.attname, x.grantee`},
}

// The queries that describe everything else.
var otherQueries = []catalogQuery{
	{"schema", `SELECT quote_ident(n.nspname), 'owner ' || quote_ident(pg_get_userbyid(n.nspowner)) FROM pg_namespace n WHERE {users}`},
	{"grant", `SELECT 'schema ' || quote_ident(n.nspname) || ' to ' || {role}, {rights}
		FROM pg_namespace n, LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) x WHERE {users} GROUP BY n.nspname, x.grantee`},
	{"grant", `SELECT concat_ws(' ', 'defaults of', quote_ident(pg_get_userbyid(a.defaclrole)), 'in ' || quote_ident(n.nspname), 'for', a.defaclobjtype::text, 'to', {role}), {rights}
		FROM pg_default_acl a LEFT JOIN pg_namespace n ON n.oid = a.defaclnamespace, LATERAL aclexplode(a.defaclacl) x
		GROUP BY a.defaclrole, n.nspname, a.defaclobjtype, x.grantee`},
	{"function", `SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
			concat_ws(' ', 'owner', quote_ident(pg_get_userbyid(p.proowner)), CASE WHEN p.prokind = 'a'
				THEN (SELECT concat_ws(' ', 'aggregate', pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), g.aggtransfn, g.aggfinalfn, g.agginitval) FROM pg_aggregate g WHERE g.aggfnoid = p.oid)
				ELSE pg_get_functiondef(p.oid) END)
		FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {users} AND {own proc}`},
	{"grant", `SELECT format('%I.%I(%s) to %s', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid), {role}), {rights}
		FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace, LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x
		WHERE {users} AND {own proc} GROUP BY p.oid, n.nspname, p.proname, x.grantee`},
	{"enum", `SELECT format('%I.%I', n.nspname, t.typname), string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
		FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace JOIN pg_enum e ON e.enumtypid = t.oid
		WHERE {users} AND {own type} GROUP BY n.nspname, t.typname`},
	{"domain", `SELECT format('%I.%I', n.nspname, t.typname), concat_ws(' ', format_type(t.typbasetype, t.typtypmod),
			CASE WHEN t.typnotnull THEN 'not null' END, 'default ' || t.typdefault,
			(SELECT string_agg(quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid), ', ' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = t.oid))
		FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'd' AND {users} AND {own type}`},
	{"type", `SELECT format('%I.%I', n.nspname, t.typname), '(' || coalesce(string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum), '') || ')'
		FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
		LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE {users} AND {own type} GROUP BY n.nspname, t.typname`},
	{"type", `SELECT format('%I.%I', n.nspname, t.typname), 'range of ' || format_type(r.rngsubtype, NULL)
		FROM pg_range r JOIN pg_type t ON t.oid = r.rngtypid JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {users} AND {own type}`},
	{"extension", `SELECT quote_ident(x.extname), concat_ws(' ', x.extversion, 'in', quote_ident(n.nspname))
		FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace`},
	{"event trigger", `SELECT quote_ident(evtname), concat_ws(' ', evtevent, array_to_string(evttags, ', '), evtfoid::regproc::text, evtenabled) FROM pg_event_trigger`},
	{"publication", `SELECT quote_ident(p.pubname), concat_ws(' ', CASE WHEN p.puballtables THEN 'all tables' END,
			(SELECT string_agg(r.prrelid::regclass::text, ', ' ORDER BY r.prrelid::regclass::text) FROM pg_publication_rel r WHERE r.prpubid = p.oid),
			p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate) FROM pg_publication p`},
}
