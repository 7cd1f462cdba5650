package sqltext

import (
	"slices"
	"strings"
)

// object steps over the words of an object's kind and returns them.
func (c *cursor) object() string {
	for _, words := range [][]string{
		{"MATERIALIZED", "VIEW"},
		{"FOREIGN", "TABLE"},
		{"FOREIGN", "DATA", "WRAPPER"},
		{"VIRTUAL", "TABLE"},
		{"EVENT", "TRIGGER"},
		{"TEXT", "SEARCH", "CONFIGURATION"},
		{"TEXT", "SEARCH", "DICTIONARY"},
		{"DEFAULT", "PRIVILEGES"},
		{"OPERATOR", "CLASS"},
		{"OPERATOR", "FAMILY"},
		{"ACCESS", "METHOD"},
		{"USER", "MAPPING"},
		{"LARGE", "OBJECT"},
	} {
		if c.eat(words...) {
			return strings.Join(words, " ")
		}
	}
	if c.eatAny("TABLE", "INDEX", "VIEW", "SEQUENCE", "FUNCTION", "PROCEDURE", "ROUTINE", "AGGREGATE", "TRIGGER", "RULE", "POLICY",
		"TYPE", "DOMAIN", "SCHEMA", "EXTENSION", "DATABASE", "TABLESPACE", "ROLE", "USER", "GROUP", "SYSTEM", "SERVER",
		"PUBLICATION", "SUBSCRIPTION", "STATISTICS", "COLLATION", "CONVERSION", "CAST", "OPERATOR", "LANGUAGE", "TRANSFORM", "OWNED") {
		return c.last()
	}
	return ""
}

func (c *cursor) create() Head {
	h := Head{Verb: "CREATE"}
	for c.eatAny("OR", "REPLACE", "UNIQUE", "TEMP", "TEMPORARY", "GLOBAL", "LOCAL", "UNLOGGED", "RECURSIVE", "CONSTRAINT", "TRUSTED", "PROCEDURAL") {
		switch c.last() {
		case "REPLACE":
			h.OrReplace = true
		case "UNIQUE":
			h.Unique = true
		case "TEMP", "TEMPORARY":
			h.Temporary = true
		}
	}
	if h.Object = c.object(); h.Object == "" {
		return Head{}
	}
	h.Concurrently = c.eat("CONCURRENTLY")
	h.IfNotExists = c.eat("IF", "NOT", "EXISTS")
	switch h.Object {
	case "INDEX", "TRIGGER", "RULE", "POLICY", "EVENT TRIGGER", "STATISTICS":
		c.createOn(&h)
	case "TABLE", "FOREIGN TABLE":
		c.createTable(&h)
	default:
		if name := c.name(); name != "" {
			h.Names = []string{name}
		}
	}
	return h
}

// createOn reads what belongs to a table. An index may lack a name.
func (c *cursor) createOn(h *Head) {
	if !c.peek("ON") || c.is(c.at+1, "ON") {
		if name := c.name(); name != "" {
			h.Names = []string{name}
		}
	}
	for !c.end() {
		switch {
		case c.eat("ON"), h.Object == "RULE" && c.eat("TO"):
			if h.Object == "RULE" && c.last() == "ON" {
				continue // the event comes first
			}
			c.eat("ONLY")
			h.On = c.name()
			if h.Object == "INDEX" {
				c.indexColumns(h)
			}
			return
		default:
			c.at++
		}
	}
}

// indexColumns reads the plain columns an index is on; with an expression
// among them there are none.
func (c *cursor) indexColumns(h *Head) {
	if c.eat("USING") {
		c.word()
	}
	if !c.peek("(") {
		return
	}
	for _, part := range c.parens().clauses() {
		name := part.part()
		if name == "" || part.peek("(") {
			h.Columns = nil
			return
		}
		h.Columns = append(h.Columns, Column{Name: name})
	}
}

func (c *cursor) createTable(h *Head) {
	if name := c.name(); name != "" {
		h.Names = []string{name}
	}
	if c.eat("PARTITION", "OF") {
		h.PartitionOf = c.name()
	}
	if !c.peek("(") {
		return
	}
	for _, clause := range c.parens().clauses() {
		if clause.peek("CONSTRAINT") || clause.peek("CHECK") || clause.peek("UNIQUE") || clause.peek("LIKE") || clause.peek("EXCLUDE") ||
			clause.is(0, "PRIMARY") && clause.is(1, "KEY") || clause.is(0, "FOREIGN") && clause.is(1, "KEY") {
			continue
		}
		h.Columns = append(h.Columns, clause.column())
	}
}

// column reads the definition of a column.
func (c *cursor) column() Column {
	col := Column{Name: c.part()}
	start := c.at
	for !c.end() && !c.constraintWord() {
		if c.peek("(") {
			c.parens()
			continue
		}
		c.at++
	}
	col.Type = strings.ToLower(c.span(start))
	for !c.end() {
		c.columnConstraint(&col)
	}
	return col
}

// constraintWord tells whether a column's type ends here.
func (c *cursor) constraintWord() bool {
	return slices.ContainsFunc([]string{
		"NOT", "NULL", "DEFAULT", "PRIMARY", "UNIQUE", "REFERENCES", "CHECK", "GENERATED", "CONSTRAINT",
		"COLLATE", "AS", "DEFERRABLE", "INITIALLY", "STORAGE", "COMPRESSION",
	}, c.peek)
}

func (c *cursor) columnConstraint(col *Column) {
	switch {
	case c.eat("NOT", "NULL"):
		col.NotNull = true
	case c.eat("DEFAULT"):
		col.Default = c.expression()
	case c.eat("PRIMARY", "KEY"):
		col.Primary = true
	case c.eat("UNIQUE"):
		col.Unique = true
	case c.eat("REFERENCES"):
		col.References = c.name()
		for c.eat("ON") { // what happens at DELETE or UPDATE may be SET NULL or SET DEFAULT
			c.word()
			if !c.eat("SET", "NULL") && !c.eat("SET", "DEFAULT") && !c.eat("NO", "ACTION") {
				c.word()
			}
		}
	case c.eat("CHECK"):
		start := c.at
		c.parens()
		col.Check = c.span(start)
	case c.eat("CONSTRAINT"), c.eat("COLLATE"):
		c.name()
	case c.eat("GENERATED"):
		c.eat("ALWAYS")
		c.eat("BY", "DEFAULT")
		c.eat("AS")
		if c.eat("IDENTITY") {
			col.Identity = true
		} else {
			col.Generated = true
		}
	case c.eat("AS"):
		col.Generated = true
	case c.peek("("):
		c.parens()
	default:
		c.at++
	}
}

// expression steps over a default and returns its text.
func (c *cursor) expression() string {
	start := c.at
	for !c.end() {
		switch {
		case c.peek("("):
			c.parens()
		case c.at > start && c.constraintWord():
			return c.span(start)
		default:
			c.at++
		}
	}
	return c.span(start)
}
