package sqltext

import (
	"slices"
	"strings"
)

func (r *reader) readAlter() {
	t := r.tree
	r.eat("ALTER")
	r.eat(strings.Fields(t.Object)...)
	switch t.Object {
	case "TABLE", "FOREIGN TABLE", "MATERIALIZED VIEW", "VIEW", "INDEX":
	default:
		if len(t.Names) == 0 && t.Object != "SYSTEM" && t.Object != "DEFAULT PRIVILEGES" && t.Object != "OPERATOR" && t.Object != "LARGE OBJECT" && t.Object != "USER MAPPING" {
			r.unread(r.at)
		}
		if len(t.Actions) == 0 || t.Actions[0].Verb == "" && t.Object != "DEFAULT PRIVILEGES" && t.Object != "SYSTEM" {
			r.unread(r.at)
		}
		return
	}
	if r.eat("ALL", "IN", "TABLESPACE") {
		return
	}
	r.eat("IF", "EXISTS")
	t.Only = r.eat("ONLY")
	if r.name() == "" {
		r.unread(r.at)
		return
	}
	r.eat("*")
	clauses := r.strictClauses()
	if len(clauses) == 0 {
		r.unread(len(r.tokens))
	}
	for _, clause := range clauses {
		c := r.on(clause)
		if c.end() {
			r.unread(len(r.tokens))
			return
		}
		p := Part{Start: c.tokens[0].start, End: c.tokens[len(c.tokens)-1].end}
		c.action(&p)
		t.Parts = append(t.Parts, p)
	}
}

// action reads one action of ALTER TABLE.
func (r *reader) action(p *Part) {
	switch {
	case r.eat("ADD"):
		r.addAction(p)
	case r.eat("DROP"):
		r.dropAction(p)
	case r.eat("RENAME"):
		at := r.at
		p.Action = r.rename()
		if p.To == "" || !slices.Contains(r.upper(at), "TO") {
			r.unread(r.at)
		}
	case r.peek("ALTER") && r.is(r.at+1, "CONSTRAINT"):
		r.eat("ALTER", "CONSTRAINT")
		p.Verb, p.Name = "ALTER CONSTRAINT", r.part()
		p.Value = r.rest()
	case r.eat("ALTER"):
		r.eat("COLUMN")
		r.alterColumnAction(p)
	case r.eat("VALIDATE", "CONSTRAINT"):
		p.Verb, p.Name = "VALIDATE CONSTRAINT", r.part()
	case r.eat("ATTACH", "PARTITION"):
		p.Verb, p.Name = "ATTACH PARTITION", r.name()
		p.Value = r.rest()
	case r.eat("DETACH", "PARTITION"):
		p.Verb, p.Name = "DETACH PARTITION", r.name()
		if r.eat("CONCURRENTLY") {
			p.Verb = "DETACH PARTITION CONCURRENTLY"
		} else if r.eat("FINALIZE") {
			p.Verb = "DETACH PARTITION FINALIZE"
		}
	default:
		r.wholeTable(p)
	}
	if p.Verb == "" {
		r.unread(0)
		return
	}
	r.done()
}

// wholeTable reads actions that concern the table as a whole.
func (r *reader) wholeTable(p *Part) {
	for _, words := range []string{
		"NO FORCE ROW LEVEL SECURITY", "FORCE ROW LEVEL SECURITY", "ENABLE ROW LEVEL SECURITY", "DISABLE ROW LEVEL SECURITY",
		"SET WITHOUT CLUSTER", "SET WITHOUT OIDS", "SET ACCESS METHOD", "SET TABLESPACE", "SET SCHEMA", "SET LOGGED", "SET UNLOGGED",
		"ENABLE REPLICA TRIGGER", "ENABLE ALWAYS TRIGGER", "ENABLE TRIGGER", "DISABLE TRIGGER",
		"ENABLE REPLICA RULE", "ENABLE ALWAYS RULE", "ENABLE RULE", "DISABLE RULE",
		"REPLICA IDENTITY", "OWNER TO", "CLUSTER ON", "NO INHERIT", "INHERIT", "NOT OF", "OF", "SET", "RESET", "OPTIONS",
		"NO DEPENDS ON EXTENSION", "DEPENDS ON EXTENSION",
	} {
		if r.eat(strings.Fields(words)...) {
			p.Verb = words
			p.Value = r.rest()
			if p.Verb == "SET" && !strings.HasPrefix(p.Value, "(") {
				p.Verb = ""
			}
			return
		}
	}
}

// upper returns the words from a token on up to here.
func (r *reader) upper(from int) []string {
	c := cursor{text: r.text, tokens: r.tokens[from:r.at]}
	return c.allWords()
}

// rest steps over what is left and returns its text.
func (r *reader) rest() string {
	start := r.at
	r.at = len(r.tokens)
	return r.span(start)
}

func (r *reader) addAction(p *Part) {
	if r.beginsConstraint() {
		p.Verb = "ADD CONSTRAINT"
		p.Constraint = r.constraint()
		p.Name, p.Kind, p.Columns = p.Constraint.Name, p.Constraint.Kind, p.Constraint.Columns
		p.References, p.NotValid, p.UsingIndex = p.Constraint.References, p.Constraint.NotValid, p.Constraint.Index != ""
		return
	}
	r.eat("COLUMN")
	p.IfNotExist = r.eat("IF", "NOT", "EXISTS")
	p.Verb = "ADD COLUMN"
	p.Def = r.columnDef()
	p.Name = p.Def.Name
}

func (r *reader) dropAction(p *Part) {
	p.Verb = "DROP COLUMN"
	if r.eat("CONSTRAINT") {
		p.Verb = "DROP CONSTRAINT"
	} else {
		r.eat("COLUMN")
	}
	p.IfExists = r.eat("IF", "EXISTS")
	if p.Name = r.part(); p.Name == "" {
		r.unread(r.at)
	}
	p.Cascade = r.eat("CASCADE")
	r.eat("RESTRICT")
}

func (r *reader) alterColumnAction(p *Part) {
	if p.Name = r.part(); p.Name == "" {
		r.unread(r.at)
		return
	}
	switch {
	case r.eat("TYPE"), r.eat("SET", "DATA", "TYPE"):
		p.Verb = "TYPE"
		p.Type = r.typeName()
		if r.eat("COLLATE") {
			p.Collate = r.name()
		}
		if r.eat("USING") {
			if p.Using = r.rest(); p.Using == "" {
				r.unread(r.at)
			}
		}
	case r.eat("SET", "NOT", "NULL"):
		p.Verb = "SET NOT NULL"
	case r.eat("DROP", "NOT", "NULL"):
		p.Verb = "DROP NOT NULL"
	case r.eat("SET", "DEFAULT"):
		p.Verb = "SET DEFAULT"
		if p.Value = r.rest(); p.Value == "" {
			r.unread(r.at)
		}
	case r.eat("DROP", "DEFAULT"):
		p.Verb = "DROP DEFAULT"
	case r.eat("SET", "EXPRESSION"):
		p.Verb = "SET EXPRESSION"
		p.Value = r.rest()
	default:
		for _, words := range []string{
			"SET STATISTICS", "SET STORAGE", "SET COMPRESSION", "DROP EXPRESSION", "DROP IDENTITY", "ADD GENERATED", "SET GENERATED", "RESTART", "RESET", "SET", "OPTIONS",
		} {
			if r.eat(strings.Fields(words)...) {
				p.Verb = "COLUMN " + words
				p.Value = r.rest()
				return
			}
		}
	}
}
