package rules

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
)

// newSyntax names a construct and the version of PostgreSQL it came with.
func newSyntax(o *lint.Op) (what string, since int) {
	if p := o.Part; p != nil {
		switch {
		case p.Verb == "ADD COLUMN" && p.Def.Generated == "virtual":
			return "A column GENERATED … VIRTUAL", 18
		case p.Verb == "ADD COLUMN" && p.Def.Generated == "stored":
			return "A column GENERATED … STORED", 12
		case p.Def.Unchecked || p.Constraint.Unchecked:
			return "NOT ENFORCED", 18
		case p.Verb == "ADD CONSTRAINT" && p.Constraint.Kind == "NOT NULL" && o.Verb == "ALTER":
			return "ADD CONSTRAINT … NOT NULL", 18
		case p.Verb == "SET EXPRESSION":
			return "SET EXPRESSION", 17
		case p.Verb == "COLUMN DROP EXPRESSION":
			return "DROP EXPRESSION", 13
		case p.Verb == "COLUMN SET COMPRESSION":
			return "SET COMPRESSION", 14
		case p.Verb == "SET ACCESS METHOD":
			return "SET ACCESS METHOD", 15
		case p.Verb == "DETACH PARTITION CONCURRENTLY" || p.Verb == "DETACH PARTITION FINALIZE":
			return "DETACH PARTITION CONCURRENTLY", 14
		}
	}
	switch {
	case o.Verb == "REINDEX" && o.Concurrently:
		return "REINDEX CONCURRENTLY", 12
	case o.Verb == "MERGE":
		return "MERGE", 15
	case o.Verb == "" && len(o.Words) > 0 && o.Words[0] == "REPACK":
		return "REPACK", 19
	case o.Has("NULLS", "NOT", "DISTINCT") && (o.Verb == "CREATE" || o.Verb == "ALTER"):
		return "NULLS NOT DISTINCT", 15
	}
	return "", 0
}

// harmless are functions whose call changes nothing that others use.
func harmless() []string {
	return append([]string{
		"set_config", "count", "max", "min", "sum", "exists", "in", "values", "avg", "any", "all", "format", "quote_ident", "pg_advisory_lock",
		"pg_advisory_unlock", "pg_try_advisory_lock", "pg_advisory_xact_lock", "pg_sleep", "to_regclass", "pg_get_serial_sequence", "setval", "where", "from",
		"as", "on", "using", "over", "filter", "within", "distinct", "string_agg", "array_agg", "bool_or", "bool_and", "jsonb_agg", "json_agg", "select", "union",
	}, stableFunctions()...)
}

var hurting = regexp.MustCompile(`(?i)\b(alter|drop|update|delete|truncate|lock|execute|index|reindex|refresh|cluster|revoke|perform|insert|call)\b`)

// opaque says what in a statement cannot be read, and whether it may do what
// blocks.
func opaque(o *lint.Op) (text string, hurts bool) {
	switch o.Verb {
	case "DO":
		return "DO runs code that cannot be read here; say with a declaration why the running release can live with it.", hurting.MatchString(o.Body)
	case "CALL", "EXECUTE":
		return o.Verb + " runs code that cannot be read here; say with a declaration why the running release can live with it.", false
	case "SELECT":
		if o.From {
			return "SELECT … INTO makes a table; write CREATE TABLE … AS.", false
		}
		for _, call := range o.Calls {
			if !slices.Contains(harmless(), strings.TrimPrefix(strings.TrimPrefix(call, "pg_catalog."), "public.")) {
				return fmt.Sprintf("SELECT calls %s, which may change something; say with a declaration why the running release can live with it.", call), false
			}
		}
	case "PREPARE", "NOTIFY", "LISTEN", "UNLISTEN", "DISCARD", "LOAD", "DEALLOCATE", "SAVEPOINT", "RELEASE", "ROLLBACK", "ABORT":
		return o.Verb + " does not belong in a migration, and what it is for cannot be told; say with a declaration why the running release can live with it.", false
	case "CREATE", "ALTER":
		return opaqueObject(o), false
	}
	return "", false
}

// opaqueObject is about objects that no other rule knows.
func opaqueObject(o *lint.Op) string {
	known := []string{
		"TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "TYPE", "DOMAIN", "SCHEMA", "EXTENSION", "STATISTICS", "PUBLICATION", "INDEX",
		"COLLATION", "VIRTUAL TABLE", "FOREIGN TABLE", "SERVER", "FOREIGN DATA WRAPPER", "USER MAPPING", "ROLE", "USER", "GROUP",
		"TEXT SEARCH CONFIGURATION", "TEXT SEARCH DICTIONARY", "ACCESS METHOD", "FUNCTION", "PROCEDURE", "AGGREGATE", "TRIGGER", "RULE", "POLICY",
		"DATABASE", "TABLESPACE", "SYSTEM", "SUBSCRIPTION", "DEFAULT PRIVILEGES",
	}
	switch {
	case o.Verb == "CREATE" && !slices.Contains(known, o.Object):
		return fmt.Sprintf("CREATE %s changes more than tables; say with a declaration why the running release can live with it.", o.Object)
	case o.Verb == "CREATE", o.Object == "TABLE", o.Object == "FOREIGN TABLE", o.Object == "INDEX", o.Object == "EXTENSION", o.Object == "DEFAULT PRIVILEGES",
		o.Object == "POLICY", o.Object == "SYSTEM", o.Object == "DATABASE", o.Object == "TABLESPACE", o.Object == "SUBSCRIPTION":
		return ""
	case o.Has("OWNER", "TO"), strings.HasPrefix(verb(o), "RENAME"), verb(o) == "ADD VALUE", verb(o) == "OWNED", o.Has("ATTRIBUTE"), o.Has("RENAME"),
		o.Object == "DOMAIN" && (verb(o) == "ADD" || verb(o) == "VALIDATE CONSTRAINT" || o.Has("ADD") || o.Has("SET", "NOT", "NULL")),
		o.Object == "SEQUENCE" && o.Has("RESTART"), o.Object == "STATISTICS", o.Has("SET", "SCHEMA"), o.Schema.New(o.Object, o.Name()):
		return ""
	}
	return fmt.Sprintf("ALTER %s %s %s changes what the running release uses; say with a declaration why it can live with it.", o.Object, o.Name(), verb(o))
}

func sorted(set map[string]bool) string { return strings.Join(slices.Sorted(maps.Keys(set)), ", ") }

func held(o *lint.Op) string { return sorted(o.Tx.Held) }

func heavyMode(mode string) bool {
	return mode == lint.AccessExclusive || mode == lint.Share || mode == lint.ShareRowExclusive || mode == lint.Exclusive
}

// takesHeavy tells whether a rule found a lock that keeps everybody off.
func takesHeavy(o *lint.Op) bool {
	return slices.ContainsFunc(o.Locks, func(l lint.Lock) bool { return l.Mode == lint.AccessExclusive })
}

func outsideOf(what string) string {
	return "-- " + what + " goes into a file of its own, in batches"
}

// off tells whether a lock_timeout is none.
func off(value string) bool {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "", "0", "0s", "0ms", "default":
		return true
	}
	return false
}

var (
	byKey   = regexp.MustCompile(`(?is)^\(?\s*"?[a-z_][a-z0-9_.]*"?\s*(=\s*('[^']*'|[0-9]+)|in\s*\(\s*('[^']*'|[0-9]+)(\s*,\s*('[^']*'|[0-9]+))*\s*\))\s*\)?$`)
	keyName = regexp.MustCompile(`(?i)^\(?\s*"?([a-z0-9_.]*\.)?(id|[a-z0-9_]*_id|uuid|key|slug|code|name)"?\s*(=|in)`)
)

// few tells whether a condition names rows one by one, by what looks like a key.
func few(where string) bool {
	where = strings.TrimSpace(where)
	return byKey.MatchString(where) && keyName.MatchString(where)
}

// batches writes a change of rows as a loop over keys.
func batches(o *lint.Op) string {
	set := ""
	if m := setClause.FindStringSubmatch(o.SQL); m != nil {
		set = strings.TrimSpace(m[1])
	}
	where := ""
	if o.Where != "" {
		where = "(" + o.Where + ") AND "
	}
	t := lint.Quote(o.Table)
	keys := fmt.Sprintf("id IN (SELECT id FROM %s WHERE %sid > $last ORDER BY id LIMIT 1000)", t, where)
	if o.Verb == "DELETE" {
		return "-- backfills: again and again, each in a transaction of its own\nDELETE FROM " + t + " WHERE " + keys + ";"
	}
	return fmt.Sprintf("-- backfills: again and again, each in a transaction of its own\nUPDATE %s SET %s WHERE %s;", t, orElse(set, "…"), keys)
}

var setClause = regexp.MustCompile(`(?is)\bset\b(.*?)(\bwhere\b|\breturning\b|$)`)

// scans tells whether an action reads the table under its lock.
func scans(o *lint.Op) bool {
	if o.Part == nil || o.Object != "TABLE" || o.Schema.NewTable(o.Table) {
		return false
	}
	switch o.Part.Verb {
	case "SET NOT NULL":
		return true
	case "TYPE":
		rule := changeOf(o).rule
		return rule != "" && rule != "PG203"
	case "ADD CONSTRAINT":
		k := o.Part.Constraint
		return !k.NotValid && !k.Unchecked && k.Index == ""
	}
	return false
}

func changesSchema(o *lint.Op) bool {
	return o.Verb == "CREATE" || o.Verb == "ALTER" || o.Verb == "DROP"
}

// repeatable tells whether a statement may be carried out twice.
func repeatable(o *lint.Op) bool {
	if o.IfExists && o.Verb == "DROP" || o.IfNotExists || o.OrReplace {
		return true
	}
	if o.Part == nil {
		return o.Verb == "ALTER"
	}
	switch o.Part.Verb {
	case "ADD COLUMN":
		return o.Part.IfNotExist
	case "DROP COLUMN", "DROP CONSTRAINT":
		return o.Part.IfExists
	case "ADD CONSTRAINT", "RENAME TO", "RENAME COLUMN", "RENAME CONSTRAINT", "ATTACH PARTITION", "DETACH PARTITION":
		return false
	}
	return true
}
