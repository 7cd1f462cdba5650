package sqltext

import (
	"slices"
	"strings"
)

// columnDef reads a column as CREATE TABLE and ADD COLUMN define it.
func (r *reader) columnDef() ColumnDef {
	d := ColumnDef{Name: r.part()}
	if d.Name == "" {
		r.unread(r.at)
		return d
	}
	d.Type = r.typeName()
	for !r.end() {
		at := r.at
		if !r.columnClause(&d) {
			r.unread(at)
			return d
		}
	}
	return d
}

// laterWords may follow the first word of a type's name.
func laterWords() []string {
	return []string{
		"PRECISION", "VARYING", "WITH", "WITHOUT", "LOCAL", "TIME", "ZONE", "YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND",
		"TO", "CHARACTER", "CHAR", "ARRAY", "LARGE", "OBJECT",
	}
}

// typeName reads the name of a type, normalised. SQLite takes any words, and
// none at all.
func (r *reader) typeName() string {
	var b strings.Builder
	for first := true; !r.end(); first = false {
		text := r.textAt(r.at)
		switch kind := r.tokens[r.at].kind; {
		case r.peek("("), r.peek("["):
			if r.peek("(") && first {
				return ""
			}
			b.WriteString(r.bracket())
			continue
		case r.peek("."):
			b.WriteString(".")
			r.at++
			b.WriteString(r.part())
			continue
		case r.peek("%"):
			b.WriteString(text)
		case kind == tokenQuoted:
			if !first {
				return finishType(b.String())
			}
			b.WriteString(r.part())
			continue
		case kind != tokenWord, r.columnWord(), r.peek("USING"):
			return r.finish(b.String())
		case !first && r.dialect == Postgres && !slices.Contains(laterWords(), strings.ToUpper(text)) && !strings.EqualFold(text, "setof"):
			return r.finish(b.String())
		default:
			if !first {
				b.WriteString(" ")
			}
			b.WriteString(strings.ToLower(text))
		}
		r.at++
	}
	return r.finish(b.String())
}

func (r *reader) finish(name string) string {
	if name == "" && r.dialect == Postgres {
		r.unread(r.at)
	}
	return finishType(name)
}

// finishType gives a type the name PostgreSQL shows it by.
func finishType(name string) string {
	name = strings.TrimPrefix(name, "pg_catalog.")
	base, rest := name, ""
	if i := strings.IndexAny(name, "(["); i >= 0 {
		base, rest = name[:i], name[i:]
	}
	after := ""
	if i := strings.Index(rest, ")"); i >= 0 && strings.HasPrefix(strings.TrimSpace(rest[i+1:]), "with") {
		after, rest = " "+strings.TrimSpace(rest[i+1:]), rest[:i+1]
	}
	switch {
	case strings.HasSuffix(base, "timestamp with time zone") || base == "timestamp" && after == " with time zone":
		base, after = "timestamptz", ""
	case base == "timestamp without time zone" || base == "timestamp" && after == " without time zone":
		base, after = "timestamp", ""
	case base == "time without time zone":
		base = "time"
	case base == "time with time zone":
		base = "timetz"
	}
	names := map[string]string{
		"int": "integer", "int4": "integer", "int8": "bigint", "int2": "smallint", "float8": "double precision", "float": "double precision",
		"float4": "real", "bool": "boolean", "decimal": "numeric", "dec": "numeric", "character varying": "varchar", "char varying": "varchar",
		"character": "char", "bpchar": "char", "serial4": "serial", "serial8": "bigserial", "serial2": "smallserial", "bit varying": "varbit",
	}
	if n, ok := names[base]; ok {
		base = n
	}
	return base + strings.ReplaceAll(rest, " ", "") + after
}

// bracket steps over (…) or […] and returns its text.
func (r *reader) bracket() string {
	start := r.at
	if r.peek("(") {
		r.parens()
		return r.span(start)
	}
	for !r.end() && !r.eat("]") {
		r.at++
	}
	return strings.ReplaceAll(r.span(start), " ", "")
}

// columnWord tells whether a column's type or default ends here.
func (r *reader) columnWord() bool {
	if r.dialect == SQLite && r.peek("ON") {
		return true
	}
	return r.constraintWord() || r.peek("NO") || r.peek("ENFORCED") || r.peek("STORED") || r.peek("VIRTUAL") || r.peek("AUTOINCREMENT")
}

// inside returns the text within a parenthesis and steps over it; ok is false
// when there is none or it is empty.
func (r *reader) inside() (string, bool) {
	if !r.peek("(") {
		return "", false
	}
	c := r.parens()
	if c.end() {
		return "", false
	}
	c.at = len(c.tokens)
	return c.span(0), true
}

// defaultText reads an expression up to the next word that begins a clause.
func (r *reader) defaultText() string {
	start := r.at
	for !r.end() {
		switch {
		case r.peek("("):
			r.parens()
		case r.at > start && r.columnWord() && !r.is(r.at-1, "::"):
			return r.span(start)
		default:
			r.at++
		}
	}
	return r.span(start)
}

// columnClause reads one clause; false when it is not understood.
func (r *reader) columnClause(d *ColumnDef) bool {
	switch {
	case r.eat("CONSTRAINT"):
		return r.part() != ""
	case r.eat("NOT", "NULL"):
		d.NotNull = true
		return r.conflict()
	case r.eat("NULL"):
		d.Null = true
	case r.eat("DEFAULT"):
		d.Default = r.defaultText()
		return d.Default != ""
	case r.eat("PRIMARY", "KEY"):
		d.Primary = true
		r.eatAny("ASC", "DESC")
		ok := r.conflict() && r.indexOptions()
		r.eat("AUTOINCREMENT")
		return ok
	case r.eat("UNIQUE"):
		d.Unique = true
		_ = r.eat("NULLS", "NOT", "DISTINCT") || r.eat("NULLS", "DISTINCT")
		return r.conflict() && r.indexOptions()
	case r.eat("CHECK"):
		text, ok := r.inside()
		d.Checks = append(d.Checks, text)
		_ = r.eat("NO", "INHERIT")
		return ok
	case r.eat("REFERENCES"):
		d.References = r.name()
		d.RefColumns = r.columnList()
		at := r.at
		ok := d.References != "" && r.foreignOptions()
		d.RefOptions = joined(d.RefOptions, r.between(at, r.at))
		return ok
	case r.eat("COLLATE"):
		d.Collate = r.name()
		return d.Collate != ""
	case r.eat("GENERATED"), r.peek("AS"):
		return r.generated(d)
	case r.eat("NOT", "ENFORCED"):
		d.Unchecked = true
	case r.eat("ENFORCED"), r.eat("NOT", "DEFERRABLE"):
	case r.eat("DEFERRABLE"):
		d.RefOptions = joined(d.RefOptions, "DEFERRABLE")
	case r.eat("INITIALLY", "DEFERRED"):
		d.RefOptions = joined(d.RefOptions, "INITIALLY DEFERRED")
	case r.eat("INITIALLY", "IMMEDIATE"):
	case r.eat("STORAGE"), r.eat("COMPRESSION"):
		return r.word() != ""
	default:
		return false
	}
	return true
}

// generated reads GENERATED … AS, after GENERATED.
func (r *reader) generated(d *ColumnDef) bool {
	_ = r.eat("ALWAYS") || r.eat("BY", "DEFAULT")
	if !r.eat("AS") {
		return false
	}
	if r.eat("IDENTITY") {
		d.Identity = true
		if r.peek("(") {
			r.parens()
		}
		return true
	}
	if _, ok := r.inside(); !ok {
		return false
	}
	d.Generated = "virtual"
	if r.eat("STORED") {
		d.Generated = "stored"
	} else {
		r.eat("VIRTUAL")
	}
	return true
}

// conflict reads SQLite's ON CONFLICT.
func (r *reader) conflict() bool {
	if r.dialect == SQLite && r.eat("ON", "CONFLICT") {
		return r.word() != ""
	}
	return true
}

// indexOptions reads what may follow UNIQUE and PRIMARY KEY.
func (r *reader) indexOptions() bool {
	for {
		switch {
		case r.eat("INCLUDE"), r.eat("WITH"):
			if _, ok := r.inside(); !ok {
				return false
			}
		case r.eat("USING", "INDEX", "TABLESPACE"):
			if r.part() == "" {
				return false
			}
		default:
			return true
		}
	}
}

// between returns the text of the tokens from one up to another.
func (r *reader) between(from, to int) string {
	if from >= to || to > len(r.tokens) {
		return ""
	}
	return r.text[r.tokens[from].start:r.tokens[to-1].end]
}

func joined(texts ...string) string {
	return strings.TrimSpace(strings.Join(texts, " "))
}

// foreignOptions reads what may follow REFERENCES t (c).
func (r *reader) foreignOptions() bool {
	for {
		switch {
		case r.eat("MATCH"):
			if r.word() == "" {
				return false
			}
		case r.eat("ON", "DELETE"), r.eat("ON", "UPDATE"):
			if !r.referential() {
				return false
			}
		default:
			return true
		}
	}
}

func (r *reader) referential() bool {
	if r.eat("SET", "NULL") || r.eat("SET", "DEFAULT") {
		r.columnList()
		return true
	}
	return r.eat("NO", "ACTION") || r.eat("CASCADE") || r.eat("RESTRICT")
}

// columnList reads (a, b), or nothing.
func (r *reader) columnList() []string {
	if !r.peek("(") {
		return nil
	}
	var all []string
	inside := r.on(r.parens())
	for {
		name := inside.part()
		if name == "" {
			break
		}
		all = append(all, name)
		if !inside.eat(",") {
			break
		}
	}
	return all
}

// TypeName gives a type, as PostgreSQL shows it, the name that a [ColumnDef]
// has for it.
func TypeName(shown string) string {
	return finishType(strings.ToLower(strings.TrimSpace(shown)))
}
