package lint

import (
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// ahead marks what an applied migration made as new: no release that serves or
// may serve again has it, so nobody uses what it made.
func (s *scope) ahead(m ship.Migration) {
	app, _, _ := strings.Cut(m.ID, ".")
	if isDjango(m.Operations) {
		for _, op := range m.Operations {
			kind, target, _ := strings.Cut(op, " ")
			s.djangoNew(app, kind, target)
		}
	}
	all, err := sqltext.Split(m.SQL, s.run.options.Dialect)
	if err != nil {
		return // what cannot be read stays known to everybody
	}
	for _, st := range all {
		s.run.schema.ahead(st.Tree(s.run.options.Dialect))
	}
}

// ahead marks what a statement made, as far as it is still there.
func (s *Schema) ahead(t *sqltext.Tree) {
	switch {
	case t.Verb == "CREATE" && t.Object == "TABLE" && len(t.Names) == 1 && !t.IfNotExists:
		if table := s.Table(t.Names[0]); table != nil {
			table.New = true
		}
	case t.Verb == "CREATE" && t.Object == "INDEX" && len(t.Names) == 1 && !t.IfNotExists:
		if i := s.Index(t.Names[0]); i != nil {
			i.New = true
		}
	case t.Verb == "ALTER" && t.Object == "TABLE" && len(t.Names) == 1:
		for _, p := range t.Parts {
			if c := s.Column(t.Names[0], p.Def.Name); c != nil && p.Verb == "ADD COLUMN" && !p.IfNotExist {
				c.New = true
			}
			if k := s.Constraint(t.Names[0], p.Constraint.Name); k != nil && p.Verb == "ADD CONSTRAINT" {
				k.New = true
			}
		}
	}
}
