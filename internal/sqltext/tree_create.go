package sqltext

import "strings"

func (r *reader) readCreate() {
	t := r.tree
	for !r.end() && !r.peek(strings.Fields(t.Object)[0]) {
		t.Unlogged = t.Unlogged || r.peek("UNLOGGED")
		r.at++
	}
	r.eat(strings.Fields(t.Object)...)
	switch t.Object {
	case "TABLE", "FOREIGN TABLE":
		r.readTable()
	case "INDEX":
		r.readIndex()
	case "TYPE":
		r.readEnum()
	case "DOMAIN":
		r.name()
		r.eat("AS")
		t.Parts = []Part{{Action: Action{Verb: "DOMAIN"}, Def: ColumnDef{Type: r.typeName()}}}
		for !r.end() {
			if !r.columnClause(&t.Parts[0].Def) {
				return
			}
		}
	case "VIEW", "MATERIALIZED VIEW":
		if len(t.Names) == 0 || !t.Has("AS") || !r.anyOf("SELECT", "WITH", "VALUES", "TABLE") {
			r.unread(r.at)
		}
	case "TRIGGER", "RULE", "POLICY":
		if len(t.Names) == 0 || t.On == "" {
			r.unread(r.at)
		}
	default:
		if len(t.Names) == 0 && t.Object != "CAST" && t.Object != "USER MAPPING" && t.Object != "TRANSFORM" && t.Object != "STATISTICS" &&
			t.Object != "OPERATOR" && t.Object != "SCHEMA" {
			r.unread(r.at)
		}
	}
}

func (r *reader) readTable() {
	t := r.tree
	r.eat("IF", "NOT", "EXISTS")
	if r.name() == "" {
		r.unread(r.at)
		return
	}
	if r.eat("PARTITION", "OF") {
		r.name()
	} else if r.eat("OF") {
		r.name()
	}
	if r.peek("(") && !r.asFollows() {
		r.tableParts(r.on(r.parens()))
	} else if r.peek("(") {
		r.parens()
	}
	for !r.end() {
		if !r.tableOption() {
			r.unread(r.at)
			return
		}
	}
	if len(t.Parts) == 0 && t.PartitionOf == "" && !t.From && len(t.Inherits) == 0 && !t.Has("OF") && !t.Has("(", ")") && len(t.Like) == 0 {
		r.unread(len(r.tokens))
	}
}

// asFollows tells whether what stands in the parenthesis are names alone,
// since a query follows.
func (r *reader) asFollows() bool {
	c := cursor{text: r.text, tokens: r.tokens, at: r.at}
	c.parens()
	return c.peek("AS")
}

func (r *reader) tableParts(in *reader) {
	start := 0
	for _, clause := range in.strictClauses() {
		start++
		c := r.on(clause)
		if c.end() {
			r.unread(r.at)
			return
		}
		p := Part{Start: c.tokens[0].start, End: c.tokens[len(c.tokens)-1].end}
		switch {
		case c.eat("LIKE"):
			r.tree.Like = append(r.tree.Like, c.name())
			continue
		case c.beginsConstraint():
			p.Verb, p.Constraint = "ADD CONSTRAINT", c.constraint()
			p.Name = p.Constraint.Name
		case r.tree.PartitionOf != "" && (c.is(1, "WITH") || c.is(1, "NOT") || c.is(1, "DEFAULT") || c.is(1, "CHECK") || c.is(1, "CONSTRAINT")):
			continue // a column of the parent, by name alone
		default:
			p.Verb, p.Def = "ADD COLUMN", c.columnDef()
			p.Name = p.Def.Name
		}
		r.tree.Parts = append(r.tree.Parts, p)
	}
}

// strictClauses cuts what is left at its commas and keeps empty clauses.
func (r *reader) strictClauses() []*cursor {
	var all []*cursor
	if r.end() {
		return nil
	}
	start, depth := r.at, 0
	for i := r.at; i <= len(r.tokens); i++ {
		switch {
		case i == len(r.tokens), depth == 0 && r.is(i, ","):
			all = append(all, &cursor{text: r.text, tokens: r.tokens[start:i]})
			start = i + 1
		case r.is(i, "("):
			depth++
		case r.is(i, ")"):
			depth--
		}
	}
	return all
}

// tableOption reads one thing that follows the columns of CREATE TABLE.
func (r *reader) tableOption() bool {
	t := r.tree
	switch {
	case r.eat("INHERITS"):
		t.Inherits = r.on(r.parens()).names()
		return len(t.Inherits) > 0
	case r.eat("PARTITION", "BY"):
		start := r.at
		r.word()
		_, ok := r.inside()
		t.PartitionBy = strings.ToLower(r.span(start))
		return ok
	case r.eat("FOR", "VALUES"):
		for !r.end() && !r.peek("PARTITION") && !r.peek("TABLESPACE") && !r.peek("SERVER") {
			r.at++
		}
	case r.eat("DEFAULT"):
		t.Default = true
	case r.eat("USING"), r.eat("TABLESPACE"), r.eat("SERVER"):
		return r.part() != ""
	case r.eat("WITH"), r.eat("OPTIONS"):
		if r.eat("OIDS") {
			return true
		}
		_, ok := r.inside()
		return ok || r.eat("NO", "DATA") || r.eat("DATA")
	case r.eat("WITHOUT", "OIDS"), r.eat("WITHOUT", "ROWID"), r.eat("STRICT"), r.eat(","):
	case r.eat("ON", "COMMIT"):
		r.word()
		r.eat("ROWS")
	case r.eat("AS"):
		t.From = true
		r.at = len(r.tokens)
	default:
		return false
	}
	return true
}

func (r *reader) readEnum() {
	r.name()
	if !r.eat("AS", "ENUM") || !r.peek("(") {
		return
	}
	in := r.parens()
	for !in.end() {
		if label := in.part(); label != "" {
			r.tree.Labels = append(r.tree.Labels, label)
		} else {
			in.at++
		}
	}
}

func (r *reader) readIndex() {
	t := r.tree
	r.eat("CONCURRENTLY")
	r.eat("IF", "NOT", "EXISTS")
	if !r.peek("ON") || r.is(r.at+1, "ON") {
		if r.name() == "" {
			r.unread(r.at)
			return
		}
	}
	if !r.eat("ON") {
		r.unread(r.at)
		return
	}
	t.Only = r.eat("ONLY")
	if r.name() == "" {
		r.unread(r.at)
		return
	}
	if r.eat("USING") {
		t.Method = strings.ToLower(r.word())
	}
	if !r.peek("(") {
		r.unread(r.at)
		return
	}
	r.indexParts(r.on(r.parens()))
	for !r.end() {
		switch {
		case r.eat("WHERE"):
			start := r.at
			r.at = len(r.tokens)
			if t.Where = r.span(start); t.Where == "" {
				r.unread(r.at)
			}
		case r.eat("INCLUDE"), r.eat("WITH"):
			r.inside()
		case r.eat("TABLESPACE"):
			r.part()
		case r.eat("NULLS", "NOT", "DISTINCT"), r.eat("NULLS", "DISTINCT"):
		default:
			r.unread(r.at)
			return
		}
	}
}

func (r *reader) indexParts(in *reader) {
	clauses := in.strictClauses()
	if len(clauses) == 0 {
		r.unread(r.at)
	}
	for _, c := range clauses {
		name := c.part()
		if name == "" || c.peek("(") || c.peek(".") {
			r.tree.Expressions = true
			continue
		}
		r.tree.KeyColumns = append(r.tree.KeyColumns, name)
	}
}
