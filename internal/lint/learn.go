package lint

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/sqltext"
)

// table returns the table, made known in part when it was not.
func (s *Schema) table(name string) *Table {
	name = Plain(name)
	t := s.tables[name]
	if t == nil {
		t = &Table{Name: name, Columns: map[string]*Column{}, Constraints: map[string]*Constraint{}, Rows: -1}
		s.tables[name] = t
	}
	return t
}

// learn notes what a statement changes. Made is whether it belongs to the
// release. For ALTER TABLE, learnPart is called action by action instead.
func (s *Schema) learn(t *sqltext.Tree, made bool) {
	switch t.Verb {
	case "CREATE":
		s.learnCreate(t, made)
	case "DROP":
		for _, name := range t.Names {
			s.forget(t.Object, name)
		}
	case "ALTER":
		for i := range t.Parts {
			s.learnPart(t, &t.Parts[i], made)
		}
		s.learnOther(t)
	case "SELECT":
		if t.From {
			if at := indexOf(t.Words, "INTO"); at >= 0 {
				s.objects["into"] = made
			}
		}
	}
}

func indexOf(words []string, w string) int {
	for i := range words {
		if words[i] == w {
			return i
		}
	}
	return -1
}

func (s *Schema) learnCreate(t *sqltext.Tree, made bool) {
	name := ""
	if len(t.Names) > 0 {
		name = Plain(t.Names[0])
	}
	switch t.Object {
	case "TABLE", "FOREIGN TABLE", "VIRTUAL TABLE":
		if old := s.Table(name); old != nil && t.IfNotExists {
			return
		}
		s.learnTable(t, name, made)
	case "INDEX":
		if t.Only || t.On == "" {
			made = made || s.NewTable(t.On)
		}
		if name == "" {
			name = IndexName(t)
		}
		s.indexes[name] = &Index{
			Name: name, Table: Plain(t.On), Columns: t.KeyColumns, Unique: t.Unique, Complex: t.Where != "" || t.Expressions, Text: t.SQL, New: made,
		}
	case "TYPE", "DOMAIN":
		s.learnType(t, name, made)
	case "VIEW", "MATERIALIZED VIEW":
		s.views[name] = t.SQL
		fallthrough
	default:
		kind := strings.ToLower(t.Object) + " " + name
		if _, known := s.objects[kind]; !known || !t.OrReplace {
			s.objects[kind] = made && !(t.OrReplace && !known)
		}
	}
}

func (s *Schema) learnType(t *sqltext.Tree, name string, made bool) {
	k := &Type{Name: name, Kind: "composite", New: made}
	switch {
	case t.Object == "DOMAIN":
		k.Kind = "domain"
		if len(t.Parts) > 0 {
			d := t.Parts[0].Def
			k.Base, k.Constrained = d.Type, d.NotNull || len(d.Checks) > 0
		}
	case t.Labels != nil || t.Has("ENUM"):
		k.Kind = "enum"
	}
	s.types[name] = k
}

func (s *Schema) learnTable(t *sqltext.Tree, name string, made bool) {
	delete(s.tables, name)
	table := s.table(name)
	table.New, table.Whole = made, !t.From && len(t.Like) == 0 && len(t.Inherits) == 0 && t.PartitionOf == ""
	table.Partitioned, table.Parent = t.PartitionBy != "", Plain(t.PartitionOf)
	for _, like := range t.Like {
		if from := s.Table(like); from != nil {
			for n, c := range from.Columns {
				copied := *c
				copied.New = made
				table.Columns[n] = &copied
			}
		}
	}
	for i := range t.Parts {
		p := t.Parts[i]
		p.Constraint.NotValid = false // of a table without rows every constraint is valid
		s.learnAdd(table, &p, made)
	}
}

// learnAdd notes a column or constraint that is added.
func (s *Schema) learnAdd(t *Table, p *sqltext.Part, made bool) {
	if p.Verb == "ADD CONSTRAINT" {
		d := p.Constraint
		s.learnConstraint(t, &Constraint{
			Name: d.Name, Kind: d.Kind, Columns: d.Columns, Expr: d.Expr, References: Plain(d.References), RefColumns: d.RefColumns, Options: d.Options,
			Valid: !d.NotValid && !d.Unchecked, New: made,
		}, d.Index)
		return
	}
	d := p.Def
	if p.IfNotExist && t.Columns[d.Name] != nil {
		return
	}
	serial := strings.HasSuffix(d.Type, "serial")
	c := &Column{
		Name: d.Name, Type: d.Type, New: made, Known: true, NotNull: d.NotNull || d.Primary || serial || d.Identity,
		Default: d.Default, Collate: d.Collate, Generated: d.Generated, Identity: d.Identity || serial,
	}
	if serial {
		c.Type = map[string]string{"serial": "integer", "bigserial": "bigint", "smallserial": "smallint"}[d.Type]
	}
	t.Columns[d.Name] = c
	only := []string{d.Name}
	for _, check := range d.Checks {
		s.learnConstraint(t, &Constraint{Kind: "CHECK", Columns: only, Expr: check, Valid: !d.Unchecked, New: made}, "")
	}
	switch {
	case d.Primary:
		s.learnConstraint(t, &Constraint{Kind: "PRIMARY KEY", Columns: only, Valid: true, New: made}, "")
	case d.Unique:
		s.learnConstraint(t, &Constraint{Kind: "UNIQUE", Columns: only, Valid: true, New: made}, "")
	}
	if d.References != "" {
		s.learnConstraint(t, &Constraint{Kind: "FOREIGN KEY", Columns: only, References: Plain(d.References), RefColumns: d.RefColumns, Options: d.RefOptions, Valid: true, New: made}, "")
	}
}

// learnConstraint notes a constraint, under the name the database gives it
// when it has none, and the index that comes with it.
func (s *Schema) learnConstraint(t *Table, k *Constraint, index string) {
	if k.Name == "" {
		k.Name = constraintName(t, k)
	}
	t.Constraints[k.Name] = k
	switch k.Kind {
	case "PRIMARY KEY", "UNIQUE":
		if index != "" {
			if i := s.indexes[index]; i != nil {
				k.Columns = i.Columns
				delete(s.indexes, index)
			}
		}
		s.indexes[k.Name] = &Index{Name: k.Name, Table: t.Name, Columns: k.Columns, Unique: true, New: k.New}
		if k.Kind == "PRIMARY KEY" {
			for _, n := range k.Columns {
				if c := t.Columns[n]; c != nil {
					c.NotNull = true
				}
			}
		}
	case "NOT NULL":
		for _, n := range k.Columns {
			if c := t.Columns[n]; c != nil && k.Valid {
				c.NotNull = true
			}
		}
	}
}

func constraintName(t *Table, k *Constraint) string {
	base := t.Name
	if i := strings.LastIndexByte(base, '.'); i >= 0 {
		base = base[i+1:]
	}
	suffix := map[string]string{"CHECK": "check", "FOREIGN KEY": "fkey", "UNIQUE": "key", "PRIMARY KEY": "pkey", "EXCLUDE": "excl", "NOT NULL": "not_null"}[k.Kind]
	columns := strings.Join(k.Columns, "_")
	if k.Kind == "CHECK" && columns == "" {
		columns = onlyColumn(t, k.Expr)
	}
	if k.Kind == "PRIMARY KEY" {
		columns = ""
	}
	name := base + "_" + suffix
	if columns != "" {
		name = base + "_" + columns + "_" + suffix
	}
	for i := 1; t.Constraints[name] != nil; i++ {
		name = fmt.Sprintf("%s_%s_%s%d", base, columns, suffix, i)
	}
	return name
}

// onlyColumn returns the one column of a table that a condition is about, or
// "". A database names a CHECK after it.
func onlyColumn(t *Table, expr string) string {
	found := ""
	for _, word := range sqltext.Words(expr, sqltext.Postgres) {
		if t.Columns[word] == nil || word == found {
			continue
		}
		if found != "" {
			return ""
		}
		found = word
	}
	return found
}

// IndexName is the name the database gives to an index without one.
func IndexName(t *sqltext.Tree) string {
	base := Plain(t.On)
	if i := strings.LastIndexByte(base, '.'); i >= 0 {
		base = base[i+1:]
	}
	columns := t.KeyColumns
	if len(columns) == 0 {
		columns = []string{"expr"}
	}
	return base + "_" + strings.Join(columns, "_") + "_idx"
}
