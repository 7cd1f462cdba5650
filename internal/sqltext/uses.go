package sqltext

import (
	"slices"
	"strings"
)

// Uses tells whether a statement uses something that is to be taken away, as
// far as its text tells: it names the table, or the column by its name, by a
// star or by the whole row. In doubt it does; what cannot be read does when the
// words are in it.
func Uses(sql string, d Dialect, t Taken) bool {
	if !t.Used() {
		return false
	}
	c, err := newCursor(sql, d)
	if err != nil {
		low := strings.ToLower(sql)
		return strings.Contains(low, strings.ToLower(bare(t.Table))) && strings.Contains(low, strings.ToLower(t.Column))
	}
	u := &usage{cursor: c, table: bare(t.Table), column: t.Column, aliases: map[string][]string{}}
	u.read()
	if !u.named {
		return false
	}
	return t.Column == "" || u.byName() || u.byStar() || u.byRow() || u.unsaid()
}

// A usage is a statement with its scopes: the inside of each parenthesis is one,
// and in each there is a clause under way at each token.
type usage struct {
	*cursor
	table, column string
	idents        []string // folded, "" for what is none
	scope         []int
	clause        []string
	place         []bool              // the token names a table
	aliases       map[string][]string // alias → tables
	named         bool                // the table is named at all
	scopes        map[int]bool        // the scopes in which it is
}

func clauses() []string {
	return []string{
		"SELECT", "FROM", "JOIN", "ON", "WHERE", "GROUP", "ORDER", "HAVING", "WINDOW", "LIMIT", "OFFSET", "FETCH", "SET", "VALUES", "RETURNING",
		"INTO", "UPDATE", "USING", "UNION", "INTERSECT", "EXCEPT", "ONLY", "COPY", "WITH", "TRUNCATE", "TABLE", "WHEN", "DO", "FOR",
	}
}

// noAlias are words that may follow a table and are not another name of it.
func noAlias(word string) bool {
	return slices.Contains(clauses(), word) || slices.Contains([]string{"LEFT", "RIGHT", "FULL", "INNER", "CROSS", "NATURAL", "LATERAL", "TABLESAMPLE", "AND", "OR", "NOT", "DEFAULT", "OVERRIDING", "IN", "IS"}, word)
}

func (u *usage) read() {
	u.scopes = map[int]bool{}
	u.place = make([]bool, len(u.tokens))
	open, next, under := []int{0}, 1, map[int]string{}
	inner := func(i int) int { // the scope that a parenthesis opens
		if u.joins(i) {
			return open[len(open)-1]
		}
		under[next] = ""
		next++
		return next - 1
	}
	for i, t := range u.tokens {
		ident := ""
		if t.kind == tokenWord || t.kind == tokenQuoted {
			at := cursor{text: u.text, tokens: u.tokens, at: i}
			ident = at.part()
		}
		u.idents = append(u.idents, ident)
		if word := strings.ToUpper(ident); t.kind == tokenWord && slices.Contains(clauses(), word) {
			under[open[len(open)-1]] = word
		}
		if u.is(i, ")") && len(open) > 1 {
			open = open[:len(open)-1]
		}
		scope := open[len(open)-1]
		u.scope, u.clause = append(u.scope, scope), append(u.clause, under[scope])
		if u.is(i, "(") {
			open = append(open, inner(i))
		}
	}
	for i := range u.tokens {
		u.source(i)
	}
}

// joins tells whether a parenthesis holds tables that are joined, which belong
// to the query around it.
func (u *usage) joins(i int) bool {
	for i > 0 && u.is(i-1, "(") {
		i--
	}
	at := i
	for u.is(at, "(") {
		at++
	}
	for _, word := range []string{"SELECT", "WITH", "VALUES", "TABLE"} {
		if u.is(at, word) {
			return false
		}
	}
	return u.is(i-1, "FROM") || u.is(i-1, "JOIN") || u.is(i-1, ",") && u.clause[i-1] == "FROM"
}

// source notes a table, or what stands in a table's place, with its alias.
func (u *usage) source(i int) {
	if strings.EqualFold(u.idents[i], u.table) {
		u.named = true
		u.scopes[u.scope[i]] = true
	}
	if u.idents[i] == "" && !u.is(i, ")") || u.is(i+1, ".") || !u.inPlace(i) {
		return
	}
	u.place[i] = u.idents[i] != ""
	name := u.idents[i]
	if name == "" {
		name = "(" // a query in parentheses: what it uses is found inside
	}
	u.alias(name, name)
	after := i + 1
	if u.is(after, "AS") {
		after++
	}
	if after < len(u.tokens) && u.idents[after] != "" && !noAlias(strings.ToUpper(u.idents[after])) {
		u.place[after] = true
		u.alias(u.idents[after], name)
	}
}

func (u *usage) alias(of, table string) {
	of = strings.ToLower(of)
	u.aliases[of] = append(u.aliases[of], strings.ToLower(table))
}

// inPlace tells whether a table is to be expected at the token.
func (u *usage) inPlace(i int) bool {
	start := i
	if u.is(i, ")") {
		return slices.Contains([]string{"FROM", "JOIN", "USING", "ON"}, u.clause[i])
	}
	for start >= 2 && u.is(start-1, ".") {
		start -= 2
	}
	if start == 0 {
		return false
	}
	for _, word := range []string{"FROM", "JOIN", "INTO", "UPDATE", "ONLY", "USING", "COPY", "TABLE", "LATERAL"} {
		if u.is(start-1, word) {
			return true
		}
	}
	return u.is(start-1, ",") && slices.Contains([]string{"FROM", "JOIN", "ON", "USING", "TRUNCATE", "TABLE"}, u.clause[i])
}

// about tells whether a qualifier may stand for the table.
func (u *usage) about(qualifier string) bool {
	qualifier = strings.ToLower(qualifier)
	tables, known := u.aliases[qualifier]
	return !known || strings.EqualFold(qualifier, u.table) || slices.Contains(tables, strings.ToLower(u.table))
}

// byName looks for the column. Without a qualifier it is the table's.
func (u *usage) byName() bool {
	for i, ident := range u.idents {
		switch {
		case !strings.EqualFold(ident, u.column), u.is(i+1, "("), u.is(i-1, "AS") && !u.is(i+1, "."):
		case u.is(i-1, ".") && i >= 2:
			if u.about(u.idents[i-2]) {
				return true
			}
		case u.is(i+1, ".") && u.about(ident):
			// a qualifier that is called as the column is
		default:
			return true
		}
	}
	return false
}

// byStar looks for all columns, said by a star or by saying none.
func (u *usage) byStar() bool {
	for i := range u.tokens {
		if u.is(i, "*") && u.isStar(i) {
			if u.is(i-1, ".") && i >= 2 {
				if u.about(u.idents[i-2]) {
					return true
				}
			} else if u.scopes[u.scope[i]] {
				return true
			}
		}
		if strings.EqualFold(u.idents[i], u.table) && u.listless(i) {
			return true
		}
	}
	return false
}

// isStar tells a star for all columns from a multiplication and from count(*).
func (u *usage) isStar(i int) bool {
	if u.is(i-1, "(") || u.is(i-1, ".") {
		return u.is(i-1, ".")
	}
	last := i+1 == len(u.tokens)
	return last || slices.ContainsFunc([]string{"FROM", ",", ")", ";", "INTO", "WHERE"}, func(w string) bool { return u.is(i+1, w) })
}

// listless tells whether rows are put into the table, or copied from it,
// without a list of columns.
func (u *usage) listless(i int) bool {
	start := i
	for start >= 2 && u.is(start-1, ".") {
		start -= 2
	}
	if !u.is(start-1, "INTO") && !u.is(start-1, "COPY") && !u.is(start-1, "TABLE") || u.is(start-2, "MERGE") {
		return false
	}
	after := i + 1
	if u.is(after, "AS") {
		after += 2
	}
	for _, word := range []string{"VALUES", "SELECT", "WITH", "TABLE", "FROM", "TO", "OVERRIDING"} {
		if u.is(after, word) || u.is(after, "(") && u.is(after+1, word) {
			return true
		}
	}
	return u.is(start-1, "TABLE") && after >= len(u.tokens)
}

// unsaid looks for columns that a statement uses without a word of them: those
// of the same name on both sides of a NATURAL join, and all of them where MERGE
// inserts without a list.
func (u *usage) unsaid() bool {
	for i := range u.tokens {
		if u.is(i, "NATURAL") || u.is(i, "INSERT") && (u.is(i+1, "VALUES") || u.is(i+1, "OVERRIDING")) {
			return true
		}
	}
	return false
}

// byRow looks for the table or an alias of it where a value is expected.
func (u *usage) byRow() bool {
	for i, ident := range u.idents {
		if ident == "" || u.place[i] || u.is(i+1, ".") || u.is(i-1, ".") || u.is(i-1, "AS") || u.is(i+1, "(") {
			continue
		}
		if tables, known := u.aliases[strings.ToLower(ident)]; known && slices.Contains(tables, strings.ToLower(u.table)) {
			return true
		}
	}
	return false
}
