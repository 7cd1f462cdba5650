package sqltext

import (
	"slices"
	"strings"
)

// A Tree is a statement read to its end. Where a statement is read in part
// only, Unread says from where on.
type Tree struct {
	Statement
	Head
	// Parts are the columns and constraints of CREATE TABLE, the actions of
	// ALTER TABLE, and the one action of any other ALTER.
	Parts []Part
	// Words are the unquoted words in upper case and the symbols, in order;
	// anything else is "?".
	Words []string

	Unread   string // the first words that are not understood; "" is none
	UnreadAt int    // their offset in SQL

	Only        bool     // ON ONLY, ALTER TABLE ONLY
	Method      string   // of an index: "btree", "gin", …
	Expressions bool     // an index has one
	Where       string   // of a partial index, an UPDATE or a DELETE; "" is none
	KeyColumns  []string // of an index, plain ones
	PartitionBy string   // of CREATE TABLE: "range (at)"
	Default     bool     // a partition is the DEFAULT one
	Like        []string // tables that CREATE TABLE … (LIKE t) takes columns from
	From        bool     // CREATE TABLE … AS, SELECT … INTO
	Inherits    []string
	Unlogged    bool
	Labels      []string // of CREATE TYPE … AS ENUM
	Value       string   // of SET: what follows = or TO; of TRUNCATE and DO nothing
	Local       bool     // SET LOCAL
	Body        string   // of DO: the code
}

// A Part is a column, a constraint or an action. Start and End are offsets in
// the statement's SQL.
type Part struct {
	Action
	Start, End int
	Def        ColumnDef     // of ADD COLUMN, and of a column in CREATE TABLE
	Constraint ConstraintDef // of ADD CONSTRAINT, and of one in CREATE TABLE
	Using      string        // of TYPE: the expression
	Collate    string        // of TYPE
	Value      string        // of SET DEFAULT; of other SETs, ENABLE and the like what follows
	IfNotExist bool
}

// A ColumnDef is all that is said of a column.
type ColumnDef struct {
	Name       string
	Type       string // lower case, one space between words, no default precision
	NotNull    bool
	Null       bool
	Default    string
	Primary    bool
	Unique     bool
	References string
	RefColumns []string
	RefOptions string   // what follows REFERENCES t (c), and DEFERRABLE and the like: "ON DELETE CASCADE"
	Checks     []string // expressions, without the parentheses
	Unchecked  bool     // its CHECK or foreign key is NOT ENFORCED
	Generated  string   // "", "stored", "virtual"
	Identity   bool
	Collate    string
}

// A ConstraintDef is all that is said of a constraint of a table.
type ConstraintDef struct {
	Name       string
	Kind       string // "CHECK", "UNIQUE", "PRIMARY KEY", "FOREIGN KEY", "EXCLUDE", "NOT NULL"
	Columns    []string
	Expr       string // of CHECK, without the parentheses
	References string
	RefColumns []string
	Options    string // all else that is said of it, besides NOT VALID: "ON DELETE CASCADE", "NO INHERIT"
	Index      string // USING INDEX
	NotValid   bool
	Unchecked  bool // NOT ENFORCED
}

// Tree reads the whole statement.
func (s Statement) Tree(d Dialect) *Tree {
	t := &Tree{Statement: s, Head: s.Head(d)}
	c, err := newCursor(s.SQL, d)
	if err != nil {
		t.Unread = firstWords(s.SQL)
		return t
	}
	t.Words = c.allWords()
	if t.Verb == "" {
		t.Unread = firstWords(s.SQL)
		return t
	}
	r := reader{cursor: c, dialect: d, tree: t}
	if at, ok := c.unbalanced(); ok {
		r.unread(at)
		return t
	}
	r.read()
	return t
}

func firstWords(s string) string {
	words := strings.Fields(s)
	return strings.Join(words[:min(6, len(words))], " ")
}

// Has tells whether the words stand in the statement, one after the other.
func (t *Tree) Has(words ...string) bool {
	for i := range t.Words {
		if len(t.Words)-i >= len(words) && slices.Equal(t.Words[i:i+len(words)], words) {
			return true
		}
	}
	return false
}

func (c *cursor) allWords() []string {
	words := make([]string, len(c.tokens))
	for i, t := range c.tokens {
		words[i] = "?"
		if t.kind == tokenWord || t.kind == tokenSymbol {
			words[i] = strings.ToUpper(c.text[t.start:t.end])
		}
	}
	return words
}

// unbalanced returns the token at which parentheses cease to match.
func (c *cursor) unbalanced() (at int, bad bool) {
	var open []int
	for i := range c.tokens {
		switch {
		case c.is(i, "("):
			open = append(open, i)
		case c.is(i, ")") && len(open) == 0:
			return i, true
		case c.is(i, ")"):
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		return open[0], true
	}
	return 0, false
}

// A reader reads a statement strictly: what is left over is unread.
type reader struct {
	*cursor
	dialect Dialect
	tree    *Tree
}

// unread notes the token at which understanding ends; the first one counts.
func (r *reader) unread(at int) {
	if r.tree.Unread != "" {
		return
	}
	offset := len(r.text)
	if at < len(r.tokens) {
		offset = r.tokens[at].start
	}
	r.tree.UnreadAt = offset
	if r.tree.Unread = firstWords(r.text[offset:]); r.tree.Unread == "" {
		r.tree.Unread = "the end of the statement"
	}
}

// on returns a reader of the same tree over another cursor, such as the inside
// of a parenthesis.
func (r *reader) on(c *cursor) *reader { return &reader{cursor: c, dialect: r.dialect, tree: r.tree} }

// done notes what is left over.
func (r *reader) done() {
	if !r.end() {
		r.unread(r.at)
	}
}

func (r *reader) read() {
	switch r.tree.Verb {
	case "CREATE":
		r.readCreate()
	case "ALTER":
		r.readAlter()
	case "DROP":
		r.readDrop()
	case "UPDATE", "DELETE":
		r.readWhere()
		r.needsRows()
	case "SET":
		r.readSet()
	case "TRUNCATE":
		r.readTruncate()
	case "DO":
		r.readDo()
	case "INSERT":
		if !r.tree.Has("INTO") || len(r.tree.Names) == 0 || !r.anyOf("VALUES", "SELECT", "DEFAULT", "WITH", "TABLE") {
			r.unread(r.at + 1)
		}
	case "SELECT":
		if len(r.tokens) < 2 || r.is(1, "FROM") || r.is(len(r.tokens)-1, "FROM") || r.is(len(r.tokens)-1, ",") || r.is(len(r.tokens)-1, "WHERE") {
			r.unread(len(r.tokens) - 1)
		}
		r.tree.From = r.tree.Has("INTO")
	}
}

func (r *reader) anyOf(words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(r.tree.Words, w) })
}

// needsRows checks the few words without which an UPDATE or DELETE is none.
func (r *reader) needsRows() {
	switch {
	case len(r.tree.Names) == 0,
		r.tree.Verb == "UPDATE" && !slices.Contains(r.tree.Words, "SET"),
		r.tree.Verb == "DELETE" && !slices.Contains(r.tree.Words, "FROM"):
		r.unread(1)
	}
}
