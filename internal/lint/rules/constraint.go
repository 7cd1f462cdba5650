package rules

import (
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// named is the name of a constraint, or the one the database would give it.
func named(d sqltext.ConstraintDef, table, suffix string) string {
	name := last(table)
	if len(d.Columns) > 0 {
		name += "_" + strings.Join(d.Columns, "_")
	}
	return orElse(d.Name, name+"_"+suffix)
}

// A gone is a constraint that is dropped.
type gone struct {
	kind       string // "" is none, "?" is not known
	references string
}

// dropped says what constraint an action drops, by the schema or, where it is
// not known, by the names databases and tools give.
func dropped(o *lint.Op) gone {
	if !o.Is("DROP CONSTRAINT") {
		return gone{}
	}
	if k := o.Schema.Constraint(o.Table, o.Part.Name); k != nil {
		if k.New {
			return gone{}
		}
		return gone{k.Kind, k.References}
	}
	if t := o.Schema.Table(o.Table); t != nil && t.Whole && o.Part.IfExists {
		return gone{}
	}
	name := strings.ToLower(o.Part.Name)
	for _, end := range []struct{ suffix, kind string }{
		{"_pkey", "PRIMARY KEY"},
		{"_pk", "PRIMARY KEY"},
		{"_key", "UNIQUE"},
		{"_uniq", "UNIQUE"},
		{"_unique", "UNIQUE"},
		{"_uq", "UNIQUE"},
		{"_fkey", "FOREIGN KEY"},
		{"_fk", "FOREIGN KEY"},
		{"_foreign", "FOREIGN KEY"},
		{"_check", "CHECK"},
		{"_chk", "CHECK"},
		{"_excl", "EXCLUDE"},
		{"_not_null", "NOT NULL"},
	} {
		if strings.HasSuffix(name, end.suffix) {
			return gone{kind: end.kind}
		}
	}
	for _, begin := range []struct{ prefix, kind string }{{"fk_", "FOREIGN KEY"}, {"uq_", "UNIQUE"}, {"ck_", "CHECK"}, {"chk_", "CHECK"}, {"pk_", "PRIMARY KEY"}} {
		if strings.HasPrefix(name, begin.prefix) {
			return gone{kind: begin.kind}
		}
	}
	if strings.Contains(name, "_fk_") {
		return gone{kind: "FOREIGN KEY"} // as Django names them
	}
	return gone{kind: "?"}
}

func seemsUnique(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"_key", "_uniq", "_unique", "_uq", "_pkey"} {
		if strings.HasSuffix(name, part) {
			return true
		}
	}
	return strings.HasPrefix(name, "uq_") || strings.Contains(name, "_uniq_")
}

// indexLock is the lock on the table of an index, as far as it is known.
func indexLock(o *lint.Op, name string) []lint.Lock {
	if i := o.Schema.Index(name); i != nil {
		mode := lint.AccessExclusive
		if o.Concurrently {
			mode = lint.ShareUpdateExclusive
		}
		return lint.On(i.Table, mode)
	}
	return nil
}

// indexed tells whether an index begins with the columns, here or further on
// in the release.
func indexed(o *lint.Op, table string, columns []string) bool {
	if len(columns) == 0 || o.Release.Indexed[table+" "+columns[0]] {
		return true
	}
	return slices.ContainsFunc(o.Schema.Indexes(table), func(i *lint.Index) bool {
		return len(i.Columns) > 0 && i.Columns[0] == columns[0] && !i.Complex
	})
}

// domainLocks are the locks on all tables known to use a domain.
func domainLocks(o *lint.Op) []lint.Lock {
	var all []lint.Lock
	for _, t := range o.Schema.Using(o.Name()) {
		all = append(all, lint.On(t, lint.Share)...)
	}
	return all
}
