package sqltext

import "strings"

func (c *cursor) alter() Head {
	h := Head{Verb: "ALTER", Object: c.object()}
	if h.Object == "" {
		return Head{}
	}
	if c.eat("IF") {
		h.IfExists = c.eat("EXISTS")
	}
	c.eat("ONLY")
	if name := c.name(); name != "" {
		h.Names = []string{name}
	}
	c.eat("*")
	if c.peek("(") { // a function's arguments
		c.parens()
	}
	if c.eat("ON") {
		h.On = c.name()
	}
	if h.Object == "TABLE" || h.Object == "FOREIGN TABLE" {
		for _, clause := range c.clauses() {
			h.Actions = append(h.Actions, clause.tableAction())
		}
		return h
	}
	h.Actions = []Action{c.plainAction()}
	return h
}

// plainAction reads what is done to anything but a table.
func (c *cursor) plainAction() Action {
	switch {
	case c.eat("RENAME", "TO"):
		return Action{Verb: "RENAME TO", To: c.name()}
	case c.eat("RENAME", "VALUE"), c.eat("RENAME", "ATTRIBUTE"), c.eat("RENAME", "COLUMN"), c.eat("RENAME", "CONSTRAINT"):
		return Action{Verb: "RENAME " + c.last(), Name: c.part()}
	case c.eat("ADD", "VALUE"):
		c.eat("IF", "NOT", "EXISTS")
		return Action{Verb: "ADD VALUE", Name: c.part()}
	}
	return Action{Verb: c.words(), Cascade: c.has("CASCADE")}
}

// words steps over at most two words, those that name an action.
func (c *cursor) words() string {
	first := c.word()
	if first == "" {
		return ""
	}
	switch first {
	case "ADD", "ALTER", "DROP", "SET", "OWNER", "ENABLE", "DISABLE", "ATTACH", "DETACH", "REPLICA", "FORCE", "RENAME", "RESET", "VALIDATE", "CLUSTER":
	case "NO":
		return strings.TrimSpace("NO " + c.word())
	default:
		return first
	}
	return strings.TrimSpace(first + " " + c.word())
}

func (c *cursor) tableAction() Action {
	switch {
	case c.eat("ADD"):
		return c.add()
	case c.eat("DROP"):
		return c.dropPart()
	case c.eat("RENAME"):
		return c.rename()
	case c.peek("ALTER") && !c.is(c.at+1, "CONSTRAINT"):
		c.at++
		c.eat("COLUMN")
		return c.alterColumn()
	case c.eat("VALIDATE", "CONSTRAINT"):
		return Action{Verb: "VALIDATE CONSTRAINT", Name: c.part()}
	case c.eat("ATTACH", "PARTITION"):
		return Action{Verb: "ATTACH PARTITION", Name: c.name()}
	case c.eat("DETACH", "PARTITION"):
		a := Action{Verb: "DETACH PARTITION", Name: c.name()}
		if c.eat("CONCURRENTLY") {
			a.Verb = "DETACH PARTITION CONCURRENTLY"
		}
		return a
	case c.eat("ENABLE", "ROW", "LEVEL", "SECURITY"), c.eat("FORCE", "ROW", "LEVEL", "SECURITY"):
		return Action{Verb: "ENABLE ROW LEVEL SECURITY"}
	case c.eat("DISABLE", "ROW", "LEVEL", "SECURITY"), c.eat("NO", "FORCE", "ROW", "LEVEL", "SECURITY"):
		return Action{Verb: "DISABLE ROW LEVEL SECURITY"}
	}
	return Action{Verb: c.words()}
}

func (c *cursor) add() Action {
	if c.peek("CONSTRAINT") || c.peek("CHECK") || c.peek("UNIQUE") || c.peek("EXCLUDE") ||
		c.is(c.at, "PRIMARY") && c.is(c.at+1, "KEY") || c.is(c.at, "FOREIGN") && c.is(c.at+1, "KEY") {
		return c.addConstraint()
	}
	c.eat("COLUMN")
	c.eat("IF", "NOT", "EXISTS")
	col := c.column()
	return Action{Verb: "ADD COLUMN", Name: col.Name, Column: col}
}

func (c *cursor) addConstraint() Action {
	a := Action{Verb: "ADD CONSTRAINT"}
	if c.eat("CONSTRAINT") {
		a.Name = c.part()
	}
	switch {
	case c.eat("CHECK"), c.eat("UNIQUE"), c.eat("EXCLUDE"):
		a.Kind = c.last()
	case c.eat("PRIMARY", "KEY"), c.eat("FOREIGN", "KEY"):
		a.Kind = strings.ToUpper(c.textAt(c.at-2)) + " KEY"
	case c.eat("NOT", "NULL"):
		a.Kind = "NOT NULL"
		a.Columns = []string{c.part()}
	}
	if c.peek("(") {
		inside := c.parens()
		if a.Kind != "CHECK" && a.Kind != "EXCLUDE" {
			a.Columns = inside.names()
		}
	}
	for !c.end() {
		switch {
		case c.eat("REFERENCES"):
			a.References = c.name()
		case c.eat("NOT", "VALID"):
			a.NotValid = true
		case c.eat("USING", "INDEX"):
			a.UsingIndex = true
		case c.peek("("):
			c.parens()
		default:
			c.at++
		}
	}
	return a
}

func (c *cursor) dropPart() Action {
	a := Action{Verb: "DROP COLUMN"}
	if c.eat("CONSTRAINT") {
		a.Verb = "DROP CONSTRAINT"
	} else {
		c.eat("COLUMN")
	}
	if c.eat("IF") {
		a.IfExists = c.eat("EXISTS")
	}
	a.Name = c.part()
	a.Cascade = c.has("CASCADE")
	return a
}

func (c *cursor) rename() Action {
	switch {
	case c.eat("TO"):
		return Action{Verb: "RENAME TO", To: c.name()}
	case c.eat("CONSTRAINT"):
		a := Action{Verb: "RENAME CONSTRAINT", Name: c.part()}
		c.eat("TO")
		a.To = c.part()
		return a
	}
	c.eat("COLUMN")
	a := Action{Verb: "RENAME COLUMN", Name: c.part()}
	c.eat("TO")
	a.To = c.part()
	return a
}

func (c *cursor) alterColumn() Action {
	a := Action{Name: c.part()}
	switch {
	case c.eat("TYPE"), c.eat("SET", "DATA", "TYPE"):
		a.Verb = "TYPE"
		start := c.at
		c.at = len(c.tokens)
		a.Type = strings.ToLower(c.span(start))
	case c.eat("SET", "NOT", "NULL"), c.eat("DROP", "NOT", "NULL"):
		a.Verb = strings.ToUpper(c.textAt(c.at-3)) + " NOT NULL"
	case c.eat("SET", "DEFAULT"):
		a.Verb = "SET DEFAULT"
		a.Column.Default = c.expression()
	case c.eat("DROP", "DEFAULT"):
		a.Verb = "DROP DEFAULT"
	default:
		a.Verb = "COLUMN " + c.words()
	}
	return a
}
