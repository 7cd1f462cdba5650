package sqltext

import (
	"slices"
	"strings"
)

// A cursor walks over the tokens of one statement, comments left out.
type cursor struct {
	text   string
	tokens []token
	at     int
}

func newCursor(sql string, d Dialect) (*cursor, error) {
	c := &cursor{text: sql}
	sc := scanner{text: sql, dialect: d}
	for {
		t, ok, err := sc.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return c, nil
		}
		if t.kind != tokenComment {
			c.tokens = append(c.tokens, t)
		}
	}
}

func (c *cursor) end() bool { return c.at >= len(c.tokens) }

func (c *cursor) textAt(i int) string { return c.text[c.tokens[i].start:c.tokens[i].end] }

// is tells whether the token i is the unquoted word or symbol.
func (c *cursor) is(i int, want string) bool {
	return i >= 0 && i < len(c.tokens) && (c.tokens[i].kind == tokenWord || c.tokens[i].kind == tokenSymbol) &&
		strings.EqualFold(c.textAt(i), want)
}

func (c *cursor) peek(want string) bool { return c.is(c.at, want) }

// eat steps over words that come next, all of them or none.
func (c *cursor) eat(words ...string) bool {
	for i, w := range words {
		if !c.is(c.at+i, w) {
			return false
		}
	}
	c.at += len(words)
	return true
}

// eatAny steps over one of words.
func (c *cursor) eatAny(words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return c.eat(w) })
}

// last returns the word stepped over last, in upper case.
func (c *cursor) last() string { return strings.ToUpper(c.textAt(c.at - 1)) }

// word steps over an unquoted word and returns it in upper case, or "".
func (c *cursor) word() string {
	if c.end() || c.tokens[c.at].kind != tokenWord {
		return ""
	}
	c.at++
	return c.last()
}

// has tells whether a word is anywhere from here on, outside parentheses.
func (c *cursor) has(word string) bool {
	depth := 0
	for i := c.at; i < len(c.tokens); i++ {
		switch {
		case c.is(i, "("):
			depth++
		case c.is(i, ")"):
			depth--
		case depth == 0 && c.is(i, word):
			return true
		}
	}
	return false
}

// part steps over one identifier and returns it folded, or "". SQLite takes a
// string for a name too.
func (c *cursor) part() string {
	if c.end() {
		return ""
	}
	text := c.textAt(c.at)
	switch c.tokens[c.at].kind {
	case tokenWord:
		c.at++
		return strings.ToLower(text)
	case tokenQuoted, tokenString:
		if len(text) < 2 || text[0] == '$' {
			return ""
		}
		c.at++
		quote := text[len(text)-1:]
		return strings.ReplaceAll(text[1:len(text)-1], quote+quote, quote)
	}
	return ""
}

// name steps over a name that may have a schema.
func (c *cursor) name() string {
	first := c.part()
	if first == "" {
		return ""
	}
	parts := []string{first}
	for c.eat(".") {
		parts = append(parts, c.part())
	}
	return Name(parts...)
}

// names steps over a list of names; parentheses after one, such as a
// function's arguments, are left out.
func (c *cursor) names() []string {
	var names []string
	for {
		name := c.name()
		if name == "" {
			return names
		}
		names = append(names, name)
		if c.peek("(") {
			c.parens()
		}
		if !c.eat(",") {
			return names
		}
	}
}

// parens steps over a parenthesis and returns a cursor over its inside.
func (c *cursor) parens() *cursor {
	start, depth := c.at+1, 0
	for ; !c.end(); c.at++ {
		switch {
		case c.peek("("):
			depth++
		case c.peek(")"):
			depth--
		}
		if depth == 0 {
			inside := &cursor{text: c.text, tokens: c.tokens[start:max(start, c.at)]}
			c.at++
			return inside
		}
	}
	return &cursor{text: c.text, tokens: c.tokens[min(start, len(c.tokens)):]}
}

// clauses cuts what is left at its commas outside parentheses.
func (c *cursor) clauses() []*cursor {
	var all []*cursor
	start, depth := c.at, 0
	for i := c.at; i <= len(c.tokens); i++ {
		switch {
		case i == len(c.tokens), depth == 0 && c.is(i, ","):
			if i > start {
				all = append(all, &cursor{text: c.text, tokens: c.tokens[start:i]})
			}
			start = i + 1
		case c.is(i, "("):
			depth++
		case c.is(i, ")"):
			depth--
		}
	}
	return all
}

// span returns the text of the tokens from i up to here.
func (c *cursor) span(i int) string {
	if i >= c.at {
		return ""
	}
	return c.text[c.tokens[i].start:c.tokens[c.at-1].end]
}
