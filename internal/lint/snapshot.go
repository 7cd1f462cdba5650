package lint

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/sqltext"
)

// A Snapshot is the schema of a database at some time, to lint against where
// the database is not at hand.
type Snapshot struct {
	Dialect sqltext.Dialect  `json:"dialect"`
	Server  string           `json:"server"` // "PostgreSQL 15.18"
	Objects []Object         `json:"objects"`
	Rows    map[string]int64 `json:"rows,omitempty"` // of a table, about
}

// An Object is one thing in a catalog, in the words of package database.
type Object struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Text string `json:"text"`
}

// ReadSnapshot reads what a snapshot was written as.
func ReadSnapshot(data []byte) (*Snapshot, error) {
	var s Snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("read the snapshot: %w", err)
	}
	if s.Dialect != sqltext.Postgres && s.Dialect != sqltext.SQLite {
		return nil, fmt.Errorf("the snapshot is of a database of kind %q, which is not known", s.Dialect)
	}
	return &s, nil
}

// Schema returns what the snapshot knows. What it cannot read it does not
// know.
func (s *Snapshot) Schema() *Schema {
	schema := NewSchema()
	// Tables come before what belongs to them.
	for _, kinds := range []string{"table partitioned enum domain type virtual", "column", "constraint index view materialized sequence function trigger"} {
		for _, o := range s.Objects {
			if strings.Contains(kinds, strings.Fields(o.Kind + " -")[0]) {
				schema.learnObject(s.Dialect, o)
			}
		}
	}
	for name, rows := range s.Rows {
		if t := schema.Table(name); t != nil {
			t.Rows = rows
		}
	}
	return schema
}

func (s *Schema) learnObject(d sqltext.Dialect, o Object) {
	if strings.HasPrefix(strings.ToUpper(o.Text), "CREATE ") && o.Kind != "function" && o.Kind != "trigger" {
		text := o.Text
		for _, mark := range []string{" REPLICA IDENTITY", " CLUSTERED", " INVALID"} {
			text = strings.TrimSuffix(text, mark)
		}
		_ = Learn(s, d, o.Name, text) // what cannot be read is not known
		return
	}
	if d == sqltext.SQLite {
		return // CREATE TABLE has said it all
	}
	table, own := cutLast(o.Name)
	switch o.Kind {
	case "table":
		t := s.table(unquote(o.Name))
		t.Whole, t.Partitioned = true, strings.HasPrefix(o.Text, "partitioned")
		if _, rest, ok := strings.Cut(o.Text, "inherits "); ok && (strings.Contains(rest, "FOR VALUES") || strings.Contains(rest, "DEFAULT")) {
			t.Parent = Plain(unquote(strings.Trim(strings.Fields(rest)[0], ",")))
		}
	case "column":
		s.table(unquote(table)).Columns[unquote(own)] = column(unquote(own), o.Text)
	case "constraint":
		_ = Learn(s, d, o.Name, fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s %s", table, own, o.Text)) // what cannot be read is not known
	case "enum":
		s.types[Plain(unquote(o.Name))] = &Type{Name: Plain(unquote(o.Name)), Kind: "enum"}
	case "domain":
		s.types[Plain(unquote(o.Name))] = &Type{
			Name: Plain(unquote(o.Name)), Kind: "domain", Base: typeOf(o.Text), Constrained: strings.Contains(o.Text, " not null") || strings.Contains(o.Text, "CHECK"),
		}
	case "view", "materialized view":
		s.views[Plain(unquote(o.Name))] = strings.ReplaceAll(o.Text, "public.", "")
		s.objects[o.Kind+" "+Plain(unquote(o.Name))] = false
	}
}

// column reads how a catalog describes a column: its type, "not null", and
// "default" or "generated stored" with an expression.
func column(name, text string) *Column {
	c := &Column{Name: name, Type: typeOf(text), Known: true}
	head, rest := text, ""
	for _, word := range []string{" default ", " generated stored ", " generated virtual "} {
		if before, after, ok := strings.Cut(text, word); ok && len(before) < len(head) {
			head, rest = before, after
			if strings.HasPrefix(word, " generated") {
				c.Generated = strings.Fields(word)[1]
			}
		}
	}
	if _, after, ok := strings.Cut(head, " collate "); ok {
		c.Collate = unquote(strings.Fields(after)[0])
	}
	c.NotNull = strings.Contains(head, " not null")
	c.Identity = strings.HasSuffix(text, " identity always") || strings.HasSuffix(text, " identity by default")
	if c.Generated == "" {
		c.Default = rest
	}
	return c
}

// typeOf takes the type off what follows it.
func typeOf(text string) string {
	for _, word := range []string{" not null", " default", " generated ", " collate ", " identity ", " CHECK"} {
		text, _, _ = strings.Cut(text, word)
	}
	return sqltext.TypeName(text)
}

// cutLast cuts a qualified name before its last part.
func cutLast(name string) (table, own string) {
	quoted := false
	for i := len(name) - 1; i > 0; i-- {
		switch {
		case name[i] == '"':
			quoted = !quoted
		case name[i] == '.' && !quoted:
			return name[:i], name[i+1:]
		}
	}
	return "", name
}

func unquote(name string) string { return strings.ReplaceAll(name, `"`, "") }
