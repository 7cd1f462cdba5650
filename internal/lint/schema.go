package lint

import (
	"regexp"
	"slices"
	"strings"
)

// A Schema is what is known of a database before an operation: from the
// catalog, from base files and from what the release did so far. What is New
// the running release does not use.
type Schema struct {
	tables  map[string]*Table
	indexes map[string]*Index
	types   map[string]*Type
	objects map[string]bool   // "view x": whether it is new
	views   map[string]string // text of a view's query
}

// A Table is a table as far as it is known.
type Table struct {
	Name        string
	New         bool
	Whole       bool // all its columns and constraints are known
	Columns     map[string]*Column
	Constraints map[string]*Constraint
	Partitioned bool
	Parent      string // of a partition
	Rows        int64  // about; -1 is not known
	Rebuilt     bool   // SQLite: it takes the place of another
}

// A Column is a column of a table.
type Column struct {
	Name      string
	Type      string // "" is not known
	New       bool
	NotNull   bool
	Known     bool // its NotNull and Default are
	Default   string
	Collate   string
	Generated string
	Identity  bool
}

// Filled tells whether rows get a value when nobody names the column.
func (c *Column) Filled() bool {
	return c.Default != "" && !strings.EqualFold(c.Default, "null") || c.Identity || c.Generated != ""
}

// A Constraint is a constraint of a table.
type Constraint struct {
	Name       string
	Kind       string
	Columns    []string
	Expr       string
	References string
	RefColumns []string
	Options    string // as [sqltext.ConstraintDef] has them
	Valid      bool
	New        bool
}

// An Index is an index of a table.
type Index struct {
	Name    string
	Table   string
	Columns []string
	Unique  bool
	Complex bool // partial or on an expression
	Text    string
	New     bool
}

// A Type is a type somebody made.
type Type struct {
	Name        string
	Kind        string // "enum", "domain", "composite"
	Base        string // of a domain
	Constrained bool   // of a domain
	New         bool
}

// NewSchema returns one in which nothing is known.
func NewSchema() *Schema {
	return &Schema{tables: map[string]*Table{}, indexes: map[string]*Index{}, types: map[string]*Type{}, objects: map[string]bool{}, views: map[string]string{}}
}

// Plain takes off the schema that needs no mention.
func Plain(name string) string {
	for _, schema := range []string{"public.", "main."} {
		if rest, ok := strings.CutPrefix(name, schema); ok {
			return rest
		}
	}
	return name
}

// Table returns a table, or nil when nothing is known of it.
func (s *Schema) Table(name string) *Table { return s.tables[Plain(name)] }

// Index returns an index, or nil.
func (s *Schema) Index(name string) *Index { return s.indexes[Plain(name)] }

// Type returns a type, or nil.
func (s *Schema) Type(name string) *Type { return s.types[Plain(name)] }

// NewTable tells whether the release creates the table.
func (s *Schema) NewTable(name string) bool {
	t := s.Table(name)
	return t != nil && t.New
}

// New tells whether the release creates the object.
func (s *Schema) New(kind, name string) bool {
	switch strings.ToLower(kind) {
	case "table", "foreign table", "virtual table":
		return s.NewTable(name)
	case "index":
		i := s.Index(name)
		return i != nil && (i.New || s.NewTable(i.Table))
	case "type", "domain":
		t := s.Type(name)
		return t != nil && t.New
	}
	return s.objects[strings.ToLower(kind)+" "+Plain(name)]
}

// Column returns a column, or nil.
func (s *Schema) Column(table, name string) *Column {
	if t := s.Table(table); t != nil {
		return t.Columns[name]
	}
	return nil
}

// NewColumn tells whether the release adds the column.
func (s *Schema) NewColumn(table, name string) bool {
	c := s.Column(table, name)
	return c != nil && c.New
}

// OnNew tells whether all of the columns are new: the running release leaves
// them at their default.
func (s *Schema) OnNew(table string, names []string) bool {
	return len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool { return !s.NewColumn(table, n) })
}

// Constraint returns a constraint of a table, or nil.
func (s *Schema) Constraint(table, name string) *Constraint {
	if t := s.Table(table); t != nil {
		return t.Constraints[name]
	}
	return nil
}

// Indexes returns the indexes of a table, in order of their names.
func (s *Schema) Indexes(table string) []*Index {
	var all []*Index
	for _, i := range s.indexes {
		if i.Table == Plain(table) {
			all = append(all, i)
		}
	}
	slices.SortFunc(all, func(a, b *Index) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Referencing returns the tables with a foreign key on a column of table; on
// any when column is "".
func (s *Schema) Referencing(table, column string) []string {
	var all []string
	for _, t := range s.tables {
		for _, k := range t.Constraints {
			if k.Kind != "FOREIGN KEY" || Plain(k.References) != Plain(table) || t.Name == Plain(table) {
				continue
			}
			to := k.RefColumns
			if len(to) == 0 {
				to = s.primary(table)
			}
			if (column == "" || slices.Contains(to, column)) && !slices.Contains(all, t.Name) {
				all = append(all, t.Name)
			}
		}
	}
	slices.Sort(all)
	return all
}

func (s *Schema) primary(table string) []string {
	if t := s.Table(table); t != nil {
		for _, k := range t.Constraints {
			if k.Kind == "PRIMARY KEY" {
				return k.Columns
			}
		}
	}
	return nil
}

// ViewsOn returns the views whose query names the table and, unless it is "",
// the column.
func (s *Schema) ViewsOn(table, column string) []string {
	var all []string
	for name, text := range s.views {
		words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !wordRune(r) })
		if slices.Contains(words, Plain(table)) && (column == "" || slices.Contains(words, column) || allColumns.MatchString(text)) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// allColumns finds "SELECT *" and "t.*", and not count(*).
var allColumns = regexp.MustCompile(`(?i)(\bselect\s+|,\s*|\.)\*`)

func wordRune(r rune) bool {
	return r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r > 127
}

// Domain returns the base type behind domains.
func (s *Schema) Domain(name string) string {
	for range 8 {
		t := s.Type(name)
		if t == nil || t.Kind != "domain" {
			return name
		}
		name = t.Base
	}
	return name
}

// Using returns the tables known to have a column of a type.
func (s *Schema) Using(name string) []string {
	var all []string
	for _, t := range s.tables {
		for _, c := range t.Columns {
			if Plain(c.Type) == Plain(name) && !t.New && !slices.Contains(all, t.Name) {
				all = append(all, t.Name)
			}
		}
	}
	slices.Sort(all)
	return all
}

// Partitions returns the known partitions of a table.
func (s *Schema) Partitions(parent string) []string {
	var all []string
	for _, t := range s.tables {
		if t.Parent == Plain(parent) && t.Parent != "" {
			all = append(all, t.Name)
		}
	}
	slices.Sort(all)
	return all
}
