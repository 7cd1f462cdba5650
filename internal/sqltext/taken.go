package sqltext

import (
	"slices"
	"strings"
)

// A Taken is something of a schema that a statement takes away: whoever uses it
// fails afterwards.
type Taken struct {
	Kind   string // "table", "column", "view", "function", "default", "not null", …
	Table  string // or the name of the object, when it is none
	Column string // of a column, of a default and of NOT NULL
	Line   int    // of the statement, from 1
	Name   bool   // the thing stays, and its name alone is taken
}

func (t Taken) String() string {
	name := t.Table
	if t.Column != "" {
		name += "." + t.Column
	}
	switch {
	case t.Name:
		return "the name of " + t.Kind + " " + name
	case t.Kind == "not null":
		return "NULL in column " + name
	}
	return t.Kind + " " + name
}

// Used tells whether statements use what is taken by naming it.
func (t Taken) Used() bool {
	return slices.Contains([]string{"table", "column", "view", "materialized view", "foreign table"}, t.Kind)
}

// Takings are what the statements of a text take away, and which of them do
// something else, whole or in part. What only prepares for one or the other,
// such as SET, is neither.
type Takings struct {
	Taken []Taken
	Else  []Statement
}

// Alone tells whether nothing is done but taking away things: no name is given
// to anything else that new code may need.
func (t Takings) Alone() bool {
	return len(t.Taken) > 0 && len(t.Else) == 0 && !slices.ContainsFunc(t.Taken, func(x Taken) bool { return x.Name })
}

// Takes reads what the statements of a text take away.
func Takes(text string, d Dialect) (Takings, error) {
	all, err := Split(text, d)
	if err != nil {
		return Takings{}, err
	}
	var out Takings
	replaced := map[string]bool{} // tables of which another takes the name
	for _, st := range all {
		t := st.Tree(d)
		taken, rest := t.takes()
		for i := range taken {
			taken[i].Line = st.Line
		}
		out.Taken = append(out.Taken, taken...)
		if rest {
			out.Else = append(out.Else, st)
		}
		for _, a := range t.Actions {
			if t.Object == "TABLE" && a.Verb == "RENAME TO" {
				replaced[bare(a.To)] = true
			}
		}
	}
	out.Taken = slices.DeleteFunc(out.Taken, func(t Taken) bool { return t.Kind == "table" && replaced[bare(t.Table)] })
	return out, nil
}

// bare returns the last part of a name.
func bare(name string) string { return name[strings.LastIndex(name, ".")+1:] }

// takes returns what the statement takes away, and whether it does more.
func (t *Tree) takes() (taken []Taken, more bool) {
	table := ""
	if len(t.Names) > 0 {
		table = t.Names[0]
	}
	switch {
	case t.Verb == "DROP" && takenWhole(t.Object):
		for _, name := range t.Names {
			taken = append(taken, Taken{Kind: strings.ToLower(t.Object), Table: name})
		}
		return taken, len(t.Names) == 0
	case t.Verb == "ALTER" && (t.Object == "TABLE" || t.Object == "FOREIGN TABLE"):
		for _, p := range t.Parts {
			if x, ok := p.takes(table); ok {
				taken = append(taken, x)
			} else {
				more = true
			}
		}
		return taken, more || len(t.Parts) == 0
	}
	prepares := []string{"SET", "RESET", "PRAGMA", "BEGIN", "START", "COMMIT", "END", "LOCK", "COMMENT", "ANALYZE"}
	return nil, !slices.Contains(prepares, t.Verb)
}

// takenWhole tells the objects that nothing new can need to be gone. A trigger,
// an index and a constraint are none: new code may do what they forbid.
func takenWhole(object string) bool {
	return slices.Contains([]string{"TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "TYPE", "DOMAIN", "FUNCTION"}, object)
}

// takes returns what an action of ALTER TABLE takes away.
func (p Part) takes(table string) (Taken, bool) {
	x := Taken{Kind: "column", Table: table, Column: p.Name}
	switch p.Verb {
	case "DROP COLUMN":
	case "RENAME COLUMN":
		x.Name = true
	case "RENAME TO":
		x = Taken{Kind: "table", Table: table, Name: true}
	case "DROP DEFAULT":
		x.Kind = "default"
	case "SET NOT NULL":
		x.Kind = "not null"
	default:
		return x, false
	}
	return x, true
}

// Touch tells whether a text names what another one makes or takes away: they
// cannot be carried out in any order. What cannot be read touches everything.
func Touch(text, other string, d Dialect) bool {
	theirs, err := Split(other, d)
	if err != nil {
		return true
	}
	named, err := tokens(text, d)
	if err != nil {
		return true
	}
	words := map[string]bool{}
	for _, t := range named {
		words[strings.ToLower(strings.Trim(text[t.start:t.end], "\"`[]"))] = true
	}
	has := func(table, column string) bool {
		return words[strings.ToLower(bare(table))] && (column == "" || words[strings.ToLower(column)])
	}
	for _, s := range theirs {
		t := s.Tree(d)
		for _, name := range t.Names {
			if (t.Verb == "CREATE" || t.Verb == "DROP") && has(name, "") {
				return true
			}
			if len(t.Parts) == 0 && t.Verb == "ALTER" && has(name, "") {
				return true
			}
			for _, p := range t.Parts {
				if t.Verb == "ALTER" && (p.Name == "" || has(name, p.Name)) && has(name, "") || p.To != "" && has(p.To, "") {
					return true
				}
			}
		}
	}
	return false
}
