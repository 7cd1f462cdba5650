package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
)

// bookkeeping are the tables in which migration tools keep their history.
func bookkeeping(table string) bool {
	return slices.Contains([]string{"alembic_version", "django_migrations", "schema_migrations", "goose_db_version", "flyway_schema_history"}, lint.Plain(table))
}

// verb is what an ALTER does to anything but a table.
func verb(o *lint.Op) string {
	if len(o.Actions) == 0 {
		return ""
	}
	return o.Actions[0].Verb
}

// usedLabel returns a value of an enum that the same transaction added and the
// statement uses.
func usedLabel(o *lint.Op) string {
	if !o.Tx.In || o.Verb == "ALTER" && o.Object == "TYPE" || o.Verb == "COMMENT" {
		return ""
	}
	for _, label := range o.Tx.Labels {
		if strings.Contains(o.SQL, "'"+label+"'") {
			return label
		}
	}
	return ""
}

// vacuumed is the table a VACUUM names, or "".
func vacuumed(o *lint.Op) string {
	depth := 0
	for _, field := range strings.FieldsFunc(o.SQL, func(r rune) bool { return r == ' ' || r == '\n' || r == '\t' || r == ';' }) {
		depth += strings.Count(field, "(") - strings.Count(field, ")")
		word := strings.ToUpper(strings.Trim(field, "(),"))
		if depth > 0 || strings.Contains(field, ")") || slices.Contains([]string{"VACUUM", "FULL", "FREEZE", "VERBOSE", "ANALYZE", "ANALYSE"}, word) {
			continue
		}
		return lint.Plain(strings.ToLower(field))
	}
	return ""
}

// lostObject says what breaks when a view, function, sequence or the like is
// dropped, renamed or replaced.
func lostObject(o *lint.Op) string {
	switch o.Verb {
	case "DROP":
		return droppedObject(o)
	case "ALTER":
		if !slices.Contains([]string{"VIEW", "MATERIALIZED VIEW", "SEQUENCE", "FUNCTION", "PROCEDURE", "ROUTINE", "AGGREGATE"}, o.Object) || o.Schema.New(o.Object, o.Name()) {
			return ""
		}
		if strings.HasPrefix(verb(o), "RENAME") || o.Has("RENAME", "TO") || o.Has("RENAME", "COLUMN") || o.Has("SET", "SCHEMA") {
			return fmt.Sprintf("ALTER %s %s RENAME makes what the running release calls by the old name fail; make the new one beside it, and drop the old one in a later release.", o.Object, o.Name())
		}
	case "CREATE":
		if o.OrReplace && (o.Object == "FUNCTION" || o.Object == "PROCEDURE" || o.Object == "AGGREGATE") && !o.Schema.New(o.Object, o.Name()) {
			return fmt.Sprintf("CREATE OR REPLACE %s %s changes what the running release calls; give the new one another name.", o.Object, o.Name())
		}
	}
	return ""
}

func droppedObject(o *lint.Op) string {
	var why string
	switch o.Object {
	case "VIEW", "MATERIALIZED VIEW":
		why = "makes every query of the running release that names it fail, and its grants are lost; make the new view under another name, and drop this one in a later release"
	case "FUNCTION", "PROCEDURE", "ROUTINE", "AGGREGATE":
		why = "makes every call of the running release to it fail; keep it until a later release"
	case "SEQUENCE":
		why = "makes inserts of the running release that take a number from it fail; keep it until a later release"
	case "SCHEMA", "EXTENSION", "OWNED", "DATABASE":
		why = "takes everything in it with it; drop what is in it first, one by one, in a later release"
	case "TABLE", "FOREIGN TABLE", "INDEX", "TYPE", "DOMAIN", "TRIGGER", "RULE", "POLICY", "STATISTICS":
		return ""
	default:
		why = "takes away what the running release may use; drop it in a later release"
	}
	var names []string
	for _, n := range o.Names {
		if !o.Schema.New(o.Object, n) {
			names = append(names, lint.Plain(n))
		}
	}
	if len(names) == 0 && len(o.Names) > 0 {
		return ""
	}
	return fmt.Sprintf("DROP %s %s %s.", o.Object, strings.Join(names, ", "), why)
}

// ownSequence tells whether a call of setval is about a sequence of a table
// that the release creates.
func ownSequence(o *lint.Op) bool {
	for _, m := range literal.FindAllString(o.SQL, -1) {
		name := lint.Plain(strings.Trim(m, "'"))
		if o.Schema.NewTable(strings.Trim(name, `"`)) || o.Schema.New("sequence", name) {
			return true
		}
		for t := name; strings.Contains(t, "_"); {
			t = t[:strings.LastIndexByte(t, '_')]
			if o.Schema.NewTable(t) {
				return true
			}
		}
	}
	return false
}

// described is the table that a COMMENT is on or beside, or that statistics
// are kept of; "" where it is something else.
func described(o *lint.Op) string {
	if o.Verb == "CREATE" && o.Object == "STATISTICS" {
		if m := fromTable.FindStringSubmatch(o.SQL); m != nil {
			return lint.Plain(strings.ToLower(strings.ReplaceAll(m[1], `"`, "")))
		}
		return ""
	}
	m := commentOn.FindStringSubmatch(o.SQL)
	if m == nil {
		return ""
	}
	name := strings.ToLower(strings.ReplaceAll(m[2], `"`, ""))
	if strings.EqualFold(m[1], "column") {
		i := strings.LastIndexByte(name, '.')
		if i < 0 {
			return ""
		}
		name = name[:i]
	}
	return lint.Plain(name)
}

var (
	fromTable = regexp.MustCompile(`(?i)\bfrom\s+([a-z0-9_."]+)\s*$`)
	commentOn = regexp.MustCompile(`(?i)^comment\s+on\s+(table|column)\s+([a-z0-9_."]+)`)
)
