package rewrite

import (
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// A kept is a statement that is as it was.
type kept struct {
	up, down string // down is "" when it is not known
	alone    bool
}

// keep leaves a statement, or one action of it, as it is.
func (w *walk) keep(t *sqltext.Tree, p *sqltext.Part) {
	k := kept{up: t.SQL, down: wayDown(t), alone: t.NoTransaction(w.Dialect)}
	if p != nil {
		table := t.Names[0]
		k.up, k.down = alter(table, t.SQL[p.Start:p.End]), partDown(table, p)
		if len(t.Parts) == 1 {
			k.up = t.SQL
		}
	}
	if k.alone {
		w.flush()
	}
	w.kept = append(w.kept, k)
	if k.alone {
		w.flush()
	}
}

// flush makes a step of what was kept since the last one.
func (w *walk) flush() {
	if len(w.kept) == 0 {
		return
	}
	s := Step{Name: w.Name, Alone: w.kept[0].alone}
	for _, k := range w.kept {
		s.Up = append(s.Up, k.up)
		if k.down == "" {
			s.WhyNot = "the way down of " + excerpt(k.up) + " is not known: write it by hand"
		}
		s.Down = append(s.Down, k.down)
	}
	if slices.Reverse(s.Down); s.WhyNot != "" {
		s.Down = nil
	}
	w.out.Steps, w.kept = append(w.out.Steps, s), nil
}

// wayDown undoes a statement that creates something.
func wayDown(t *sqltext.Tree) string {
	if t.Verb == "SET" {
		return t.SQL
	}
	if t.Verb == "CREATE" && t.Object == "INDEX" && len(t.Names) == 0 && !t.Concurrently {
		return "DROP INDEX " + lint.Quote(beside(t.On, lint.IndexName(t)))
	}
	if t.Verb != "CREATE" || len(t.Names) != 1 || t.OrReplace || t.IfNotExists {
		return ""
	}
	name := lint.Quote(t.Names[0])
	switch t.Object {
	case "TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "TYPE", "DOMAIN", "SCHEMA":
		return "DROP " + t.Object + " " + name
	case "INDEX":
		if t.Concurrently {
			return "DROP INDEX CONCURRENTLY IF EXISTS " + name
		}
		return "DROP INDEX " + name
	case "TRIGGER", "POLICY", "RULE":
		return "DROP " + t.Object + " " + name + " ON " + lint.Quote(t.On)
	}
	return ""
}

// partDown undoes an action of ALTER TABLE that adds something.
func partDown(table string, p *sqltext.Part) string {
	switch {
	case p.Verb == "ADD COLUMN" && !p.IfNotExist:
		return alter(table, "DROP COLUMN "+lint.Quote(p.Name))
	case p.Verb == "ADD CONSTRAINT" && p.Constraint.Name != "":
		return dropConstraint(table, p.Constraint.Name)
	case p.Verb == "DROP NOT NULL":
		return alterColumn(table, p.Name, "SET NOT NULL")
	case p.Verb == "SET NOT NULL":
		return alterColumn(table, p.Name, "DROP NOT NULL")
	case p.Verb == "RENAME COLUMN":
		return alter(table, "RENAME COLUMN "+lint.Quote(p.To)+" TO "+lint.Quote(p.Name))
	case strings.HasPrefix(p.Verb, "RENAME TO"):
		return alter(p.To, "RENAME TO "+lint.Quote(last(table)))
	}
	return ""
}
