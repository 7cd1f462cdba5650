package sqltext

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The limits of [Split].
const (
	MaxSize       = 16 << 20 // bytes of a text
	MaxStatements = 100_000  // in a text
)

// A Statement is one statement of a text. SQL is without comments before it
// and without the semicolon that ends it, and is found at Offset of the text.
type Statement struct {
	SQL      string
	Line     int // of its first byte, from 1
	Column   int // in characters, from 1
	Offset   int // in bytes, from 0
	Comments []string
}

// Split cuts a text into its statements. What only a client program can carry
// out (commands of psql and sqlite3, COPY from or to the client) and what is
// not closed at the end of the text is refused with an [*Error].
func Split(text string, d Dialect) ([]Statement, error) {
	if d != Postgres && d != SQLite {
		return nil, fmt.Errorf("dialect %q is unknown", d)
	}
	if len(text) > MaxSize {
		return nil, &Error{Line: 1, Column: 1, Text: fmt.Sprintf("the text has %d bytes, more than %d", len(text), MaxSize)}
	}
	sp := splitter{scanner: scanner{text: text, dialect: d}, line: 1}
	for {
		t, ok, err := sp.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return sp.end()
		}
		if err := sp.add(t); err != nil {
			return nil, err
		}
	}
}

// A splitter gathers tokens until a semicolon that ends a statement.
type splitter struct {
	scanner
	done     []Statement
	tokens   []token // of the statement under way, without comments
	comments []string

	parens int // open parentheses: a semicolon within belongs to a rule's actions
	body   int // open BEGIN ATOMIC and the CASEs within it

	counted, line, column int // how far lines are counted, and where that is; column from 0
}

func (sp *splitter) add(t token) error {
	if t.kind == tokenComment {
		sp.comments = append(sp.comments, sp.text[t.start:t.end])
		return nil
	}
	if len(sp.tokens) == 0 && sp.dialect == SQLite && sp.text[t.start] == '.' {
		return sp.fail(t.start, "a command of the sqlite3 program, which only that understands")
	}
	if sp.is(t, ";") && sp.ends() {
		return sp.finish()
	}
	sp.tokens = append(sp.tokens, t)
	sp.nest(t)
	return nil
}

// nest keeps count of what a semicolon may be inside of.
func (sp *splitter) nest(t token) {
	switch {
	case sp.is(t, "("):
		sp.parens++
	case sp.is(t, ")"):
		sp.parens = max(sp.parens-1, 0)
	case t.kind != tokenWord || sp.dialect != Postgres:
	case sp.body > 0 && sp.is(t, "CASE"):
		sp.body++
	case sp.body > 0 && sp.is(t, "END"):
		sp.body--
	case sp.body == 0 && sp.is(t, "ATOMIC") && sp.before(1, "BEGIN") && sp.creates("FUNCTION", "PROCEDURE"):
		sp.body = 1
	}
}

// ends tells whether a semicolon after the gathered tokens ends the statement.
func (sp *splitter) ends() bool {
	if sp.dialect == SQLite && sp.creates("TRIGGER") {
		return sp.closed()
	}
	return sp.parens == 0 && sp.body == 0
}

// closed tells whether a trigger's body is: SQLite itself looks for END after
// a semicolon, since END is also the end of a CASE and may be a column's name.
func (sp *splitter) closed() bool { return sp.before(0, "END") && sp.before(1, ";") }

// before tells whether the nth token from the end of those gathered is word.
func (sp *splitter) before(n int, word string) bool {
	return len(sp.tokens) > n && sp.is(sp.tokens[len(sp.tokens)-1-n], word)
}

// creates tells whether the statement under way is CREATE of one of kinds.
func (sp *splitter) creates(kinds ...string) bool {
	for i, t := range sp.tokens[:min(4, len(sp.tokens))] {
		switch {
		case i == 0:
			if !sp.is(t, "CREATE") {
				return false
			}
		case sp.is(t, "OR"), sp.is(t, "REPLACE"), sp.is(t, "TEMP"), sp.is(t, "TEMPORARY"):
		default:
			for _, kind := range kinds {
				if sp.is(t, kind) {
					return true
				}
			}
			return false
		}
	}
	return false
}

func (sp *splitter) finish() error {
	tokens := sp.tokens
	sp.tokens, sp.parens, sp.body = nil, 0, 0
	if len(tokens) == 0 {
		return nil // a semicolon of its own; comments stay for what follows
	}
	start, end := tokens[0].start, tokens[len(tokens)-1].end
	if sp.copies(tokens) {
		return sp.fail(start, "COPY from or to the client, which only psql can carry out; use INSERT")
	}
	if len(sp.done) >= MaxStatements {
		return sp.fail(start, fmt.Sprintf("the text has more than %d statements", MaxStatements))
	}
	sp.count(start)
	sp.done = append(sp.done, Statement{
		SQL: sp.text[start:end], Line: sp.line, Column: sp.column + 1, Offset: start, Comments: sp.comments,
	})
	sp.comments = nil
	return nil
}

// count moves the count of lines on to offset at, so that each byte is looked
// at once.
func (sp *splitter) count(at int) {
	for i := sp.counted; i < at; i++ {
		switch {
		case sp.text[i] == '\n':
			sp.line++
			sp.column = 0
		case utf8.RuneStart(sp.text[i]):
			sp.column++
		}
	}
	sp.counted = at
}

// copies tells whether tokens are COPY … FROM STDIN or TO STDOUT.
func (sp *splitter) copies(tokens []token) bool {
	if sp.dialect != Postgres || !sp.is(tokens[0], "COPY") {
		return false
	}
	for i, t := range tokens[1:] {
		if sp.is(t, "STDIN") && sp.is(tokens[i], "FROM") || sp.is(t, "STDOUT") && sp.is(tokens[i], "TO") {
			return true
		}
	}
	return false
}

func (sp *splitter) end() ([]Statement, error) {
	if len(sp.tokens) == 0 {
		return sp.done, nil
	}
	start := sp.tokens[0].start
	switch {
	case sp.dialect == SQLite && sp.creates("TRIGGER"):
		if !sp.closed() {
			return nil, sp.fail(start, "the trigger's BEGIN has no END")
		}
	case sp.body > 0:
		return nil, sp.fail(start, "BEGIN ATOMIC has no END")
	case sp.parens > 0:
		return nil, sp.fail(start, "a parenthesis is not closed")
	}
	if err := sp.finish(); err != nil {
		return nil, err
	}
	return sp.done, nil
}

// is compares a token with an upper-case word or a symbol.
func (sp *splitter) is(t token, want string) bool {
	return (t.kind == tokenWord || t.kind == tokenSymbol) && strings.EqualFold(sp.text[t.start:t.end], want)
}
