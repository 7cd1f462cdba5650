package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// Classify returns m with Phase, Findings and Hazards filled. With a declaration and its reason
// the findings stay, for those who approve, and the phase is what was declared.
func (l *Linter) Classify(m ship.Migration, o Options) ship.Migration {
	o.Schema = NewSchema()
	return classify(m, l.scope(o))
}

// ClassifyAll classifies migrations in order of application. What a pending
// one creates the running release does not know, so that later ones may change
// it; what an applied one created it may know.
func (l *Linter) ClassifyAll(all []ship.Migration, o Options) []ship.Migration {
	s := l.scope(o)
	classified := make([]ship.Migration, 0, len(all))
	for _, m := range all {
		if !m.Applied {
			classified = append(classified, classify(m, s))
			continue
		}
		classified = append(classified, l.Classify(m, o))
		s.applied(m)
	}
	return classified
}

// Pending lints pending migrations as their tool shows them.
func (l *Linter) Pending(all []ship.Migration, o Options) []Finding {
	s := l.scope(o)
	var found []Finding
	for _, m := range all {
		if m.Applied {
			s.applied(m)
			continue
		}
		for _, f := range s.migration(m) {
			f.File = m.File
			if f.File == "" {
				f.File = m.ID
			}
			found = append(found, f)
		}
	}
	return found
}

// applied takes down what an applied migration left.
func (s *scope) applied(m ship.Migration) {
	o := s.run.options
	switch {
	case !o.Live:
		_ = Learn(s.run.schema, o.Dialect, m.File, m.SQL) // what cannot be read is not known
	case o.Ahead[m.ID]:
		s.ahead(m)
	}
}

// A scope is a run, and what the tool's own words say that this release makes.
type scope struct {
	run     *run
	objects map[string]bool // "model shop.product", "field shop.product.price"
}

func (l *Linter) scope(o Options) *scope {
	return &scope{run: l.begin(o), objects: map[string]bool{}}
}

func (s *scope) made(kind, name string) { s.objects[kind+" "+name] = true }

func (s *scope) isNew(kind, name string) bool { return s.objects[kind+" "+name] }

func classify(m ship.Migration, s *scope) ship.Migration {
	m.Phase, m.Findings, m.Hazards, m.Exact = ship.Expand, nil, nil, true
	schema := false
	m.Ignored = nil
	s.run.options.Ignored = func(f Finding, reason string) {
		m.Ignored = addOnce(m.Ignored, fmt.Sprintf("%s is ignored because %s: %s", f.Rule, strings.TrimSuffix(reason, "."), f.Message))
	}
	for _, f := range s.migration(m) {
		text := f.Message
		if f.Line > 0 && len(m.Operations) == 0 {
			text = fmt.Sprintf("line %d: %s", f.Line, text)
		}
		switch {
		case f.Breaks:
			m.Exact = m.Exact && f.Keeps
			m.Phase = ship.Contract
			schema = schema || !f.Data
			m.Findings = addOnce(m.Findings, text)
		case f.Class == Block || f.Class == Warn && (f.Work != "" || f.Rewrite != ""):
			m.Hazards = addOnce(m.Hazards, fmt.Sprintf("%s: %s", f.Rule, text))
		}
	}
	if m.Declared == "" {
		return m
	}
	return declared(m, schema)
}

func addOnce(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

// declared gives m the phase its author declared, where that can be.
func declared(m ship.Migration, schema bool) ship.Migration {
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

// opaqueRule is the id of findings of what a tool does not show.
const opaqueRule = "PG002"

// say makes a finding of a tool's own words.
func say(h Hit) Finding {
	h.Breaks = true
	class := h.Class
	if class == "" {
		class = Block
	}
	return Finding{Rule: opaqueRule, Class: class, Hit: h}
}

// migration returns what is found in one.
func (s *scope) migration(m ship.Migration) []Finding {
	o := s.run.options
	left := ignores{config: o.Ignore, file: m.File, tell: o.Ignored} // the text has left out its own
	switch {
	case isDjango(m.Operations):
		return left.apply(s.django(m))
	case len(m.Operations) > 0 && m.SQL == "":
		return left.apply(alembic(m.Operations))
	case m.SQL != "":
		return s.text(m)
	case strings.HasSuffix(m.File, ".py"):
		return nil // a merge of two heads does nothing
	}
	return []Finding{say(Hit{Message: "What it does cannot be read: its tool shows no SQL. Say with a declaration why the running release can live with it."})}
}

// text lints the SQL of a migration.
func (s *scope) text(m ship.Migration) []Finding {
	f := File{Name: m.File, Text: m.SQL, Transaction: m.Atomic}
	if !m.Atomic {
		// Files of SQL have a transaction still, around what can run in one.
		f.Batch = slices.ContainsFunc(Parts(m.File, m.SQL), func(p File) bool { return p.Transaction || p.Batch })
	}
	read := s.run.parse(f)
	s.run.look(read.trees)
	return s.run.file(&read)
}
