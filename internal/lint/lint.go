// Package lint says of a migration whether the release that runs can live with
// it, and if not, what would break and the safe way. It reads what a migration
// tool can tell (SQL, or the tool's own words) and what the author declared; it
// refuses to know the database, so what it cannot read it does not call safe.
//
// Changes of rows that exist need a declaration, since text does not show how
// many there are and what the running release makes of them; rows put into a
// table that the same release creates do not.
package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// Classify returns m with Phase and Findings filled, for a database of the
// given dialect ("postgres", "sqlite"). With a declaration and its reason the
// findings stay, for those who approve, and the phase is what was declared.
func Classify(m ship.Migration, dialect string) ship.Migration {
	return classify(m, newScope(sqltext.Dialect(dialect)))
}

// ClassifyAll classifies migrations in order of application. What a pending
// one creates the running release does not know, so that later ones may change
// it; what an applied one created it may know.
func ClassifyAll(all []ship.Migration, dialect string) []ship.Migration {
	s := newScope(sqltext.Dialect(dialect))
	classified := make([]ship.Migration, 0, len(all))
	for _, m := range all {
		if m.Applied {
			classified = append(classified, Classify(m, dialect))
			continue
		}
		classified = append(classified, classify(m, s))
	}
	return classified
}

// A finding is why the running release cannot be said to live with something.
type finding struct {
	text string
	data bool // it is about rows, not about the schema
	// keeps: every row and value is still there, so the way down is exact.
	keeps bool
}

func classify(m ship.Migration, s *scope) ship.Migration {
	found := s.migration(m)
	m.Phase, m.Findings, m.Exact = ship.Expand, nil, true
	for _, f := range found {
		m.Exact = m.Exact && f.keeps
		m.Phase = ship.Contract
		if !slices.Contains(m.Findings, f.text) {
			m.Findings = append(m.Findings, f.text)
		}
	}
	if m.Declared == "" {
		return m
	}
	schema := slices.ContainsFunc(found, func(f finding) bool { return !f.data })
	switch {
	case strings.TrimSpace(m.Reason) == "":
		m.Phase = ship.Contract
		m.Findings = append(m.Findings, fmt.Sprintf("It declares phase=%s without a reason: say why in reason=\"…\".", m.Declared))
	case m.Declared == ship.Expand:
		m.Phase = ship.Expand
	case m.Declared == ship.Backfill && !schema:
		m.Phase = ship.Backfill
	case m.Declared == ship.Backfill:
		m.Phase = ship.Contract
		m.Findings = append(m.Findings, "It declares phase=backfill, which is for rows alone, and changes the schema: make two migrations of it.")
	case m.Declared == ship.Contract:
		m.Phase = ship.Contract
		if len(m.Findings) == 0 {
			m.Findings = []string{"Its author declares phase=contract: " + m.Reason}
		}
	default:
		m.Phase = ship.Contract
		m.Findings = append(m.Findings, fmt.Sprintf("It declares phase=%s, which is none: known are expand, backfill and contract.", m.Declared))
	}
	return m
}

// A scope is what the running release cannot know, because this release
// creates it.
type scope struct {
	dialect sqltext.Dialect
	objects map[string]bool   // "table product", "view …", "constraint product.x"
	columns map[string]column // "product.price"
	rebuilt map[string]bool   // tables that the migration at hand makes anew
}

// A column is a new one on a table that exists.
type column struct {
	filled  bool // has a default: the running release's rows get one
	notNull bool
}

func newScope(d sqltext.Dialect) *scope {
	return &scope{dialect: d, objects: map[string]bool{}, columns: map[string]column{}}
}

// plain takes off the schema that needs no mention.
func plain(name string) string {
	for _, schema := range []string{"public.", "main."} {
		if rest, ok := strings.CutPrefix(name, schema); ok {
			return rest
		}
	}
	return name
}

func (s *scope) made(kind, name string) { s.objects[kind+" "+plain(name)] = true }

func (s *scope) isNew(kind, name string) bool { return s.objects[kind+" "+plain(name)] }

func (s *scope) newTable(name string) bool { return s.isNew("table", name) }

// newColumn returns a column that this release adds to a table.
func (s *scope) newColumn(table, name string) (column, bool) {
	c, ok := s.columns[plain(table)+"."+name]
	return c, ok
}

// onNewColumns tells whether all of columns are new: the running release
// leaves them at their default.
func (s *scope) onNewColumns(table string, names []string) bool {
	return len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool {
		_, ok := s.newColumn(table, n)
		return !ok
	})
}

// migration returns what is found in one.
func (s *scope) migration(m ship.Migration) []finding {
	switch {
	case isDjango(m.Operations):
		return s.django(m)
	case len(m.Operations) > 0 && m.SQL == "":
		return alembic(m.Operations)
	case m.SQL != "":
		return s.text(m.SQL, len(m.Operations) == 0)
	case strings.HasSuffix(m.File, ".py"):
		return nil // a merge of two heads does nothing
	}
	return []finding{{text: "What it does cannot be read: its tool shows no SQL. Say with a declaration why the running release can live with it."}}
}

// text reads SQL. Lines are named where the text is the file.
func (s *scope) text(sql string, lines bool) []finding {
	all, err := sqltext.Split(sql, s.dialect)
	if err != nil {
		return []finding{{text: fmt.Sprintf("It cannot be read (%v), so nobody can tell whether the running release can live with it.", err)}}
	}
	heads := make([]sqltext.Head, len(all))
	for i, st := range all {
		heads[i] = st.Head(s.dialect)
	}
	rebuilt := s.rebuilds(heads)
	s.rebuilt = map[string]bool{}
	for _, table := range rebuilt {
		s.rebuilt[table] = true
	}
	var found []finding
	for i, h := range heads {
		where := ""
		if lines {
			where = fmt.Sprintf("line %d: ", all[i].Line)
		}
		more := s.statement(all[i], h)
		if table, ok := rebuilt[i]; ok {
			more = []finding{{text: fmt.Sprintf("%s is made anew with other columns, and what changed in it cannot be told from the text; "+
				"say with a declaration why the running release can live with it.", table)}}
		}
		for _, f := range more {
			found = append(found, finding{where + f.text, f.data, f.keeps})
		}
	}
	return found
}

// rebuilds returns the statements that drop a table of SQLite whose successor
// is renamed to its name, by index.
func (s *scope) rebuilds(heads []sqltext.Head) map[int]string {
	dropped, created, rebuilt := map[string]int{}, map[string]bool{}, map[int]string{}
	if s.dialect != sqltext.SQLite {
		return rebuilt
	}
	for i, h := range heads {
		if len(h.Names) != 1 || h.Object != "TABLE" {
			continue
		}
		switch name := plain(h.Names[0]); {
		case h.Verb == "CREATE":
			created[name] = true
		case h.Verb == "DROP" && !s.newTable(name):
			dropped[name] = i
		case h.Verb == "ALTER" && created[name] && len(h.Actions) == 1 && h.Actions[0].Verb == "RENAME TO":
			if at, ok := dropped[plain(h.Actions[0].To)]; ok {
				rebuilt[at] = plain(h.Actions[0].To)
			}
		}
	}
	return rebuilt
}
