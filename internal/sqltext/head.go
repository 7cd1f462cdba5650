package sqltext

import (
	"slices"
	"strings"
)

// A Head is what the words of a statement say it is about. Fields that do not
// apply are empty; Verb is "" when the statement is not understood.
type Head struct {
	Verb   string   // "CREATE", "ALTER", "DROP", "INSERT", "SET", …
	Object string   // "TABLE", "INDEX", "VIEW", "MATERIALIZED VIEW", "FUNCTION", …
	Names  []string // of the objects; see [Name]
	On     string   // the table an index, trigger, rule or policy is on

	Concurrently bool
	IfExists     bool
	IfNotExists  bool
	OrReplace    bool
	Unique       bool
	Temporary    bool
	Cascade      bool
	PartitionOf  string // the parent of CREATE TABLE … PARTITION OF

	Columns []Column // of CREATE TABLE, where they are listed
	Actions []Action // of ALTER, in order
	Calls   []string // of SELECT: the functions it calls
}

// A Column is a column as CREATE TABLE or ADD COLUMN defines it.
type Column struct {
	Name       string
	Type       string // as written, lower case
	NotNull    bool
	Default    string // text of the default; "" is none
	Primary    bool
	Unique     bool
	References string // table
	Check      string // text of an inline CHECK, with its parentheses; "" is none
	Generated  bool   // GENERATED ALWAYS AS (…)
	Identity   bool   // GENERATED … AS IDENTITY
}

// An Action is one thing an ALTER statement does.
type Action struct {
	// Verb is one of "ADD COLUMN", "ADD CONSTRAINT", "DROP COLUMN", "DROP
	// CONSTRAINT", "RENAME COLUMN", "RENAME CONSTRAINT", "RENAME TO", "TYPE",
	// "SET NOT NULL", "DROP NOT NULL", "SET DEFAULT", "DROP DEFAULT",
	// "VALIDATE CONSTRAINT", or the words the action begins with.
	Verb string
	Name string // of the column or constraint
	To   string // of a renaming
	Type string // of TYPE: as written, lower case

	Column     Column   // of ADD COLUMN
	Kind       string   // of ADD CONSTRAINT: "CHECK", "UNIQUE", "PRIMARY KEY", "FOREIGN KEY", "EXCLUDE", "NOT NULL"
	Columns    []string // the constraint is on
	References string   // table of a foreign key
	NotValid   bool
	UsingIndex bool
	Cascade    bool
	IfExists   bool
}

// Name folds a name as written: parts joined by dots, quotes taken off,
// unquoted parts in lower case.
func Name(parts ...string) string { return strings.Join(parts, ".") }

// Head reads the head of a statement.
func (s Statement) Head(d Dialect) Head {
	c, err := newCursor(s.SQL, d)
	if err != nil {
		return Head{}
	}
	var h Head
	switch {
	case c.eat("CREATE"):
		h = c.create()
	case c.eat("ALTER"):
		h = c.alter()
	case c.eat("DROP"):
		h = c.drop()
	default:
		h = c.other()
	}
	return h
}

// verbs are the verbs of statements that name one object or none, with the
// words between verb and name that say nothing of interest.
func verbs() map[string][]string {
	return map[string][]string{
		"INSERT": {"OR", "REPLACE", "IGNORE", "ABORT", "FAIL", "ROLLBACK", "INTO"}, "REPLACE": {"INTO"},
		"UPDATE": {"ONLY", "OR", "REPLACE", "IGNORE", "ABORT", "FAIL", "ROLLBACK"},
		"DELETE": {"FROM", "ONLY"}, "MERGE": {"INTO", "ONLY"}, "TRUNCATE": {"TABLE", "ONLY"},
		"LOCK": {"TABLE", "ONLY"}, "COPY": {}, "CLUSTER": {"VERBOSE"}, "VACUUM": nil, "ANALYZE": nil,
		"SET": nil, "RESET": nil, "PRAGMA": {}, "COMMENT": nil, "GRANT": nil, "REVOKE": nil,
		"SELECT": nil, "WITH": nil, "VALUES": nil, "DO": nil, "CALL": {}, "EXPLAIN": nil,
		"BEGIN": nil, "START": nil, "COMMIT": nil, "END": nil, "ROLLBACK": nil, "ABORT": nil,
		"SAVEPOINT": nil, "RELEASE": nil, "PREPARE": nil, "EXECUTE": nil, "DEALLOCATE": nil, "DISCARD": nil,
		"NOTIFY": nil, "LISTEN": nil, "UNLISTEN": nil, "CHECKPOINT": nil, "LOAD": nil,
		"ATTACH": nil, "DETACH": nil, "SECURITY": nil, "REASSIGN": nil, "SHOW": nil, "TABLE": nil,
	}
}

func (c *cursor) other() Head {
	word := c.word()
	switch word {
	case "REINDEX":
		return c.reindex()
	case "REFRESH":
		return c.refresh()
	}
	skip, known := verbs()[word]
	if !known {
		return Head{}
	}
	h := Head{Verb: word}
	switch word {
	case "SET", "VACUUM", "EXPLAIN", "WITH":
		h.Object = c.with(word)
		return h
	case "SELECT":
		h.Calls = c.calls()
		return h
	}
	if skip == nil {
		return h
	}
	for c.eatAny(skip...) {
	}
	if name := c.name(); name != "" {
		h.Names = []string{name}
	}
	h.Cascade = word == "TRUNCATE" && c.has("CASCADE")
	return h
}

// with returns what a SET sets, or the verb of the statement that a WITH or an
// EXPLAIN stands before, or the option FULL of a VACUUM.
func (c *cursor) with(verb string) string {
	switch verb {
	case "SET":
		c.eatAny("LOCAL", "SESSION")
		return c.word()
	case "VACUUM":
		if c.has("FULL") || c.peek("(") && c.parens().has("FULL") {
			return "FULL"
		}
		return ""
	}
	// A data-changing verb anywhere decides: a WITH may change rows in any part.
	for _, t := range c.tokens {
		if t.kind != tokenWord {
			continue
		}
		if w := strings.ToUpper(c.text[t.start:t.end]); slices.Contains([]string{"INSERT", "UPDATE", "DELETE", "MERGE"}, w) {
			return w
		}
	}
	return "SELECT"
}

// calls returns the names that parentheses follow.
func (c *cursor) calls() []string {
	var names []string
	for !c.end() {
		if name := c.name(); name == "" {
			c.at++
		} else if c.peek("(") {
			names = append(names, name)
		}
	}
	return names
}

func (c *cursor) reindex() Head {
	h := Head{Verb: "REINDEX", Concurrently: c.has("CONCURRENTLY")}
	if c.peek("(") && c.parens().has("CONCURRENTLY") {
		h.Concurrently = true
	}
	if c.eatAny("INDEX", "TABLE", "SCHEMA", "DATABASE", "SYSTEM") {
		h.Object = c.last()
	}
	c.eat("CONCURRENTLY")
	h.Names = c.names()
	return h
}

func (c *cursor) refresh() Head {
	h := Head{Verb: "REFRESH", Object: "MATERIALIZED VIEW"}
	c.eatAny("MATERIALIZED")
	c.eatAny("VIEW")
	h.Concurrently = c.eat("CONCURRENTLY")
	h.Names = c.names()
	return h
}

func (c *cursor) drop() Head {
	h := Head{Verb: "DROP", Object: c.object()}
	if h.Object == "" {
		return Head{}
	}
	h.Concurrently = c.eat("CONCURRENTLY")
	if c.eat("IF") {
		h.IfExists = c.eat("EXISTS")
	}
	h.Names = c.names()
	if c.eat("ON") {
		h.On = c.name()
	}
	h.Cascade = c.has("CASCADE")
	return h
}

// NoTransaction tells whether the database refuses to carry the statement out
// within a transaction, or carries it out without effect there.
func (h Head) NoTransaction(d Dialect) bool {
	if d == SQLite {
		return slices.Contains([]string{"VACUUM", "PRAGMA", "ATTACH", "DETACH"}, h.Verb)
	}
	switch h.Verb {
	case "VACUUM":
		return true
	case "REINDEX":
		return h.Concurrently || slices.Contains([]string{"SCHEMA", "DATABASE", "SYSTEM"}, h.Object)
	case "CLUSTER":
		return len(h.Names) == 0
	case "CREATE", "DROP", "ALTER":
		if slices.Contains([]string{"DATABASE", "TABLESPACE", "SYSTEM", "SUBSCRIPTION"}, h.Object) {
			return true
		}
		if h.Object == "INDEX" {
			return h.Concurrently
		}
		return slices.ContainsFunc(h.Actions, func(a Action) bool { return a.Verb == "DETACH PARTITION CONCURRENTLY" })
	}
	return false
}
