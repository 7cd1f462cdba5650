package lint

import (
	"strings"

	"github.com/shiplock/shiplock/internal/sqltext"
)

// forget takes out what is dropped.
func (s *Schema) forget(object, name string) {
	name = Plain(name)
	switch object {
	case "TABLE", "FOREIGN TABLE", "VIRTUAL TABLE":
		delete(s.tables, name)
		for n, i := range s.indexes {
			if i.Table == name {
				delete(s.indexes, n)
			}
		}
	case "INDEX":
		delete(s.indexes, name)
	case "TYPE", "DOMAIN":
		delete(s.types, name)
	default:
		delete(s.objects, strings.ToLower(object)+" "+name)
		delete(s.views, name)
	}
}

// learnPart notes what one action of ALTER TABLE changes.
func (s *Schema) learnPart(t *sqltext.Tree, p *sqltext.Part, made bool) {
	if len(t.Names) != 1 || t.Object != "TABLE" && t.Object != "FOREIGN TABLE" {
		return
	}
	table := s.table(t.Names[0])
	c := table.Columns[p.Name]
	switch p.Verb {
	case "ADD COLUMN", "ADD CONSTRAINT":
		s.learnAdd(table, p, made || table.New)
	case "DROP COLUMN":
		delete(table.Columns, p.Name)
		s.forgetColumn(table, p.Name)
	case "DROP CONSTRAINT":
		delete(table.Constraints, p.Name)
		delete(s.indexes, p.Name)
	case "RENAME COLUMN":
		if c != nil {
			delete(table.Columns, p.Name)
			c.Name = p.To
			table.Columns[p.To] = c
		}
	case "RENAME CONSTRAINT":
		if k := table.Constraints[p.Name]; k != nil {
			delete(table.Constraints, p.Name)
			k.Name = p.To
			table.Constraints[p.To] = k
		}
	case "RENAME TO":
		s.renameTable(table, p.To)
	case "VALIDATE CONSTRAINT":
		if k := table.Constraints[p.Name]; k != nil {
			k.Valid = true
		}
	case "ATTACH PARTITION":
		s.table(p.Name).Parent = table.Name
		table.Partitioned = true
	case "DETACH PARTITION", "DETACH PARTITION CONCURRENTLY":
		s.table(p.Name).Parent = ""
	default:
		s.learnColumn(table, c, p)
	}
}

// learnColumn notes a change of a column; it becomes known in part when it was
// not.
func (s *Schema) learnColumn(table *Table, c *Column, p *sqltext.Part) {
	switch p.Verb {
	case "TYPE", "SET NOT NULL", "DROP NOT NULL", "SET DEFAULT", "DROP DEFAULT":
	default:
		return
	}
	if c == nil {
		c = &Column{Name: p.Name}
		table.Columns[p.Name] = c
	}
	switch p.Verb {
	case "TYPE":
		c.Type = p.Type
	case "SET NOT NULL":
		c.NotNull = true
	case "DROP NOT NULL":
		c.NotNull = false
	case "SET DEFAULT":
		c.Default = p.Value
	case "DROP DEFAULT":
		c.Default = ""
	}
}

func (s *Schema) forgetColumn(t *Table, name string) {
	for n, k := range t.Constraints {
		for _, c := range k.Columns {
			if c == name {
				delete(t.Constraints, n)
			}
		}
	}
	for n, i := range s.indexes {
		for _, c := range i.Columns {
			if i.Table == t.Name && c == name {
				delete(s.indexes, n)
			}
		}
	}
}

func (s *Schema) renameTable(t *Table, to string) {
	delete(s.tables, t.Name)
	to = Plain(to)
	if i := strings.LastIndexByte(t.Name, '.'); i >= 0 && !strings.Contains(to, ".") {
		to = t.Name[:i+1] + to
	}
	for _, i := range s.indexes {
		if i.Table == t.Name {
			i.Table = to
		}
	}
	t.Name = to
	s.tables[to] = t
}

// learnOther notes renamings of what is no table.
func (s *Schema) learnOther(t *sqltext.Tree) {
	if len(t.Names) != 1 || len(t.Parts) > 0 && t.Object == "TABLE" {
		return
	}
	name := Plain(t.Names[0])
	to := ""
	if len(t.Actions) > 0 && t.Actions[0].Verb == "RENAME TO" {
		to = Plain(t.Actions[0].To)
	}
	switch {
	case to == "":
	case t.Object == "INDEX":
		if i := s.indexes[name]; i != nil {
			delete(s.indexes, name)
			i.Name = to
			s.indexes[to] = i
		}
	case t.Object == "TYPE" || t.Object == "DOMAIN":
		if k := s.types[name]; k != nil {
			delete(s.types, name)
			k.Name = to
			s.types[to] = k
		}
	default:
		kind := strings.ToLower(t.Object) + " "
		if made, ok := s.objects[kind+name]; ok {
			delete(s.objects, kind+name)
			s.objects[kind+to] = made
		}
	}
}

// replaced notes that a table of SQLite took the place of the one of its name,
// which the running release knows.
func (s *Schema) replaced(name string) {
	t := s.table(name)
	t.New, t.Rebuilt, t.Whole = false, true, true
	for _, c := range t.Columns {
		c.New = false
	}
}
