package sqltext

import (
	"slices"
	"strings"
)

func (r *reader) readDrop() {
	t := r.tree
	last := len(r.tokens) - 1
	if len(t.Names) == 0 && !slices.Contains([]string{"OWNED", "CAST", "USER MAPPING", "TRANSFORM", "OPERATOR"}, t.Object) || r.is(last, ",") {
		r.unread(last + 1)
		return
	}
	if !slices.Contains([]string{"TABLE", "INDEX", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "TYPE", "DOMAIN", "SCHEMA"}, t.Object) {
		return
	}
	r.eat("DROP")
	r.eat(strings.Fields(t.Object)...)
	r.eat("CONCURRENTLY")
	r.eat("IF", "EXISTS")
	r.names()
	_ = r.eat("CASCADE") || r.eat("RESTRICT")
	r.done()
}

// readWhere finds the condition of an UPDATE or DELETE.
func (r *reader) readWhere() {
	depth := 0
	for i := range r.tokens {
		switch {
		case r.is(i, "("):
			depth++
		case r.is(i, ")"):
			depth--
		case depth == 0 && r.is(i, "WHERE"):
			end := len(r.tokens)
			for j := i; j < end; j++ {
				if r.is(j, "RETURNING") {
					end = j
				}
			}
			if end > i+1 {
				r.tree.Where = r.text[r.tokens[i+1].start:r.tokens[end-1].end]
			} else {
				r.unread(end)
			}
			return
		}
	}
}

func (r *reader) readSet() {
	r.eat("SET")
	r.tree.Local = r.eat("LOCAL")
	r.eat("SESSION")
	for !r.end() && !r.peek("=") && !r.peek("TO") {
		r.at++
	}
	if r.eatAny("=", "TO") {
		r.tree.Value = strings.Trim(r.rest(), "'")
	}
}

// readTruncate names all tables, of which the head knows the first alone.
func (r *reader) readTruncate() {
	r.eat("TRUNCATE")
	r.eat("TABLE")
	r.eat("ONLY")
	if r.tree.Names = r.names(); len(r.tree.Names) == 0 {
		r.unread(r.at)
	}
}

// readDo takes the code out of its quotes.
func (r *reader) readDo() {
	for _, t := range r.tokens {
		if t.kind == tokenString {
			text := r.text[t.start:t.end]
			if end := strings.Index(text[1:], "$"); text[0] == '$' && end >= 0 && len(text) >= 2*(end+2) {
				text = text[end+2 : len(text)-end-2]
			}
			r.tree.Body = text
			return
		}
	}
	r.unread(1)
}
