package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// filled tells whether the rows that are there get a value.
func filled(d sqltext.ColumnDef) bool {
	return d.Default != "" && !strings.EqualFold(d.Default, "null") || d.Generated != "" || d.Identity || strings.HasSuffix(d.Type, "serial")
}

// plainColumn tells whether no rule for something special about the column
// applies.
func plainColumn(o *lint.Op, d sqltext.ColumnDef) bool {
	return !strings.HasSuffix(d.Type, "serial") && !d.Identity && d.Generated == "" && len(d.Checks) == 0 && !d.Unique && !d.Primary &&
		d.References == "" && d.Type != "json" && !(d.NotNull && !filled(d)) && !constrainedDomain(o, d.Type)
}

// constrainedDomain tells whether a type is a domain with constraints, as far
// as is known.
func constrainedDomain(o *lint.Op, name string) bool {
	for range 8 {
		t := o.Schema.Type(name)
		if t == nil || t.Kind != "domain" {
			return false
		}
		if t.Constrained {
			return true
		}
		name = t.Base
	}
	return false
}

// A kind of default: one value for all rows, one for every row, or nobody
// knows.
type kindOfDefault int

const (
	constant kindOfDefault = iota
	perRow
	unknown
)

var (
	called  = regexp.MustCompile(`(?i)([a-z_][a-z0-9_.]*)\s*\(`)
	literal = regexp.MustCompile(`'(?:[^']|'')*'`)
	noNull  = regexp.MustCompile(`(?i)\bis\s+not\s+null\b`)
)

// volatility judges a default by the functions it calls.
func volatility(_ *lint.Op, text string) kindOfDefault {
	text = literal.ReplaceAllString(text, "''")
	kind := constant
	for _, m := range called.FindAllStringSubmatch(text, -1) {
		name := strings.TrimPrefix(strings.ToLower(m[1]), "pg_catalog.")
		name = strings.TrimPrefix(name, "public.")
		switch {
		case slices.Contains(volatileFunctions(), name), strings.HasPrefix(name, "uuid_generate_v"):
			return perRow
		case !slices.Contains(stableFunctions(), name):
			kind = unknown
		}
	}
	return kind
}

func volatileFunctions() []string {
	return []string{
		"random", "clock_timestamp", "gen_random_uuid", "uuidv4", "uuidv7", "nextval", "timeofday", "setval", "random_normal", "gen_random_bytes", "gen_salt",
		"lastval", "currval", "pg_sleep", "txid_current_if_assigned", "uuid_generate_v4", "uuid_generate_v1", "uuid_generate_v1mc",
	}
}

// stableFunctions are those whose value is stored once; names of types are
// among them, since numeric(10,2) looks like a call.
func stableFunctions() []string {
	return []string{
		"now", "transaction_timestamp", "statement_timestamp", "current_timestamp", "localtimestamp", "current_time", "localtime", "current_date",
		"varchar", "char", "character", "varying", "numeric", "decimal", "timestamp", "timestamptz", "time", "timetz", "bit", "varbit", "interval", "bpchar",
		"lower", "upper", "md5", "length", "coalesce", "nullif", "greatest", "least", "concat", "concat_ws", "replace", "substr", "substring", "trim",
		"date_trunc", "date_part", "extract", "to_char", "to_date", "to_timestamp", "to_number", "timezone", "make_date", "make_interval", "make_timestamp",
		"json_build_object", "jsonb_build_object", "json_build_array", "jsonb_build_array", "to_json", "to_jsonb", "json_object", "jsonb_object",
		"array", "row", "cast", "abs", "round", "ceil", "floor", "int4", "int8", "text", "date", "current_setting", "current_user", "session_user",
		"current_schema", "current_database", "version", "repeat", "lpad", "rpad", "encode", "decode", "convert_to", "sha256", "hashtext", "int4range",
		"daterange", "tsrange", "tstzrange", "numrange", "int8range", "txid_current", "pg_current_xact_id", "and", "or", "not", "in", "case", "when",
		"then", "else", "to_tsvector", "array_fill", "string_to_array", "point", "box", "age", "power", "sqrt", "mod", "chr", "ascii", "left", "right",
	}
}

// demandsValue tells whether a condition refuses NULL.
func demandsValue(check string) bool { return noNull.MatchString(check) }

// notNullChecked returns a valid CHECK that proves that a column is never
// NULL, or nil.
func notNullChecked(o *lint.Op, column string) *lint.Constraint {
	t := o.Schema.Table(o.Table)
	if t == nil {
		return nil
	}
	var found *lint.Constraint
	for _, k := range t.Constraints {
		if k.Valid && (k.Kind == "CHECK" && provesNotNull(k.Expr, column) || k.Kind == "NOT NULL" && slices.Contains(k.Columns, column)) {
			if found == nil || k.Name < found.Name {
				found = k
			}
		}
	}
	return found
}

// provesNotNull reads a condition that is, or joins with AND, "column IS NOT
// NULL".
func provesNotNull(expr, column string) bool {
	for part := range strings.SplitSeq(strings.ToLower(expr), " and ") {
		part = strings.NewReplacer("(", " ", ")", " ", `"`, "").Replace(part)
		if slices.Equal(strings.Fields(part), []string{strings.ToLower(column), "is", "not", "null"}) && !strings.Contains(strings.ToLower(expr), " or ") {
			return true
		}
	}
	return false
}

// dependents names what goes with a column, and the locks that takes.
func dependents(o *lint.Op) (names []string, locks []lint.Lock) {
	t := o.Schema.Table(o.Table)
	if t == nil {
		return nil, nil
	}
	for _, k := range t.Constraints {
		if !slices.Contains(k.Columns, o.Part.Name) {
			continue
		}
		names = append(names, fmt.Sprintf("the constraint %s", k.Name))
		if k.Kind == "FOREIGN KEY" {
			locks = append(locks, known(o, k.References, lint.AccessExclusive)...)
		}
	}
	for _, i := range o.Schema.Indexes(o.Table) {
		if slices.Contains(i.Columns, o.Part.Name) && t.Constraints[i.Name] == nil {
			names = append(names, "the index "+i.Name)
		}
	}
	slices.Sort(names)
	return names, locks
}

// dependentSteps drops what depends on a column first, one by one.
func dependentSteps(o *lint.Op) string {
	var steps []string
	t := o.Schema.Table(o.Table)
	if t == nil {
		return ""
	}
	for _, i := range o.Schema.Indexes(o.Table) {
		if slices.Contains(i.Columns, o.Part.Name) && t.Constraints[i.Name] == nil {
			steps = append(steps, fmt.Sprintf("DROP INDEX CONCURRENTLY %s;", lint.Quote(i.Name)))
		}
	}
	names, _ := dependents(o)
	for _, n := range names {
		if k, ok := strings.CutPrefix(n, "the constraint "); ok {
			steps = append(steps, fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s;", lint.Quote(o.Table), lint.Quote(k)))
		}
	}
	return lines(append(steps, fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s;", lint.Quote(o.Table), lint.Quote(o.Part.Name)))...)
}
