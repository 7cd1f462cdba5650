package lint

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/sqltext"
)

// Options say for whom the files are linted.
type Options struct {
	Dialect sqltext.Dialect
	Version int     // see [ParseVersion]; 0 is the oldest that is still supported
	Schema  *Schema // what is known of the database, and is added to; nil is nothing
	// Live tells that Schema is the database's as it is now: what was applied is
	// in it. Ahead are the IDs of the applied migrations that no release has
	// which serves or may serve again: what they made is not used.
	Live   bool
	Ahead  map[string]bool
	Alone  bool // the files are not run by shiplock, which sets time-outs and resumes
	Ignore []Ignore
	// Ignored is told what is left out, by the options or by a comment, and why.
	Ignored func(f Finding, reason string)
}

// A File is one part of a migration to lint.
type File struct {
	Name        string
	Text        string
	Down        bool // the way down of a migration
	Transaction bool // its tool runs it within one
	Batch       bool // its tool sends it whole, which makes one of several statements; shiplock does as Between says
	Between     bool // what cannot run within a transaction runs between two
	Existing    bool // what it makes is known to the running release
}

// A Linter holds the rules.
type Linter struct {
	rules []Rule
}

// New returns a linter with the rules. Two with the same id are refused.
func New(rules []Rule) (*Linter, error) {
	seen := map[string]bool{}
	for _, r := range rules {
		if r.ID == "" || r.Check == nil || r.Class == "" || seen[r.ID] {
			return nil, fmt.Errorf("the rule %q is there twice or lacks its class or check", r.ID)
		}
		seen[r.ID] = true
	}
	return &Linter{rules: rules}, nil
}

// Rules returns the rules, in the order they are asked in.
func (l *Linter) Rules() []Rule { return l.rules }

// Run lints files in the order they are applied in. What an earlier one
// creates a later one may change.
func (l *Linter) Run(files []File, o Options) []Finding {
	r := l.begin(o)
	read := make([]script, len(files))
	for i, f := range files {
		read[i] = r.parse(f)
		if !f.Down {
			r.look(read[i].trees)
		}
	}
	// Ways down come after all ways up, the last one first.
	found := make([][]Finding, len(files))
	for i := range read {
		if !files[i].Down {
			found[i] = r.file(&read[i])
		}
	}
	for i := len(read) - 1; i >= 0; i-- {
		if files[i].Down {
			found[i] = down(r.file(&read[i]))
		}
	}
	return slices.Concat(found...)
}

// down judges findings of a way down: that the release which is left no longer
// works, and that what it wrote is lost, is what going down means. What keeps
// others waiting, and what cannot be read, stays as bad as it is.
func down(found []Finding) []Finding {
	for i, f := range found {
		heavy := f.Work == Scan || f.Work == Rewrite || f.Work == IndexBuild || f.Work == RowWork
		if f.Class == Gate || f.Class == Block && f.Breaks && !heavy && f.Rule != unreadable(sqltext.Postgres) && f.Rule != unreadable(sqltext.SQLite) {
			found[i].Class = Warn
		}
	}
	return found
}

// A run is one call of Run, or of ClassifyAll.
type run struct {
	rules   []Rule
	options Options
	schema  *Schema
	release *Release
}

func (l *Linter) begin(o Options) *run {
	r := &run{options: o, schema: o.Schema, release: &Release{Indexed: map[string]bool{}, Views: map[string]bool{}, Rebuilt: map[string]bool{}}}
	// Without a version every rule is asked, as of the oldest.
	given := o.Version > 0
	if !given {
		r.options.Version = oldest(o.Dialect)
	}
	if r.schema == nil {
		r.schema = NewSchema()
	}
	for _, rule := range l.rules {
		if rule.Dialect == o.Dialect && (!given && !rule.NeedsVersion || given && rule.Since <= r.options.Version) {
			r.rules = append(r.rules, rule)
		}
	}
	return r
}

// A script is a file that was read.
type script struct {
	File
	trees   []*sqltext.Tree
	broken  *sqltext.Error
	ignores ignores
}

func (r *run) parse(f File) script {
	s := script{File: f}
	all, err := sqltext.Split(f.Text, r.options.Dialect)
	if err != nil {
		if !errors.As(err, &s.broken) {
			s.broken = &sqltext.Error{Line: 1, Column: 1, Text: err.Error()}
		}
		return s
	}
	for _, st := range all {
		s.trees = append(s.trees, st.Tree(r.options.Dialect))
	}
	s.ignores = readIgnores(f, all, r.options)
	return s
}

// look notes what the files do ahead.
func (r *run) look(trees []*sqltext.Tree) {
	for _, t := range trees {
		switch {
		case t.Verb == "CREATE" && t.Object == "INDEX" && len(t.KeyColumns) > 0 && t.Where == "":
			r.release.Indexed[Plain(t.On)+" "+t.KeyColumns[0]] = true
		case t.Verb == "CREATE" && t.Object == "VIEW" && len(t.Names) == 1:
			r.release.Views[Plain(t.Names[0])] = true
		}
	}
	r.lookRebuilt(trees)
}

// lookRebuilt notes the tables of SQLite that one statement drops and a later
// one renames a new table to.
func (r *run) lookRebuilt(trees []*sqltext.Tree) {
	if r.options.Dialect != sqltext.SQLite {
		return
	}
	dropped, created := map[string]bool{}, map[string]bool{}
	for _, t := range trees {
		if len(t.Names) != 1 || t.Object != "TABLE" {
			continue
		}
		switch name := Plain(t.Names[0]); {
		case t.Verb == "CREATE":
			created[name] = true
		case t.Verb == "DROP":
			dropped[name] = true
		case t.Verb == "ALTER" && created[name] && len(t.Actions) == 1 && t.Actions[0].Verb == "RENAME TO" && dropped[Plain(t.Actions[0].To)]:
			r.release.Rebuilt[Plain(t.Actions[0].To)] = true
		}
	}
}

func (r *run) file(s *script) []Finding {
	if s.broken != nil {
		return []Finding{{
			File: s.Name, Line: s.broken.Line, Column: s.broken.Column, Rule: unreadable(r.options.Dialect), Class: Block,
			Hit: Hit{Message: fmt.Sprintf("It cannot be read: %s. Nobody can tell what it does.", s.broken.Text), Breaks: true},
		}}
	}
	w := &walk{run: r, script: s, scanned: map[string]bool{}, whole: s.Batch && len(s.trees) > 1}
	w.begin(s.Transaction || w.whole)
	between := w.tx.In && (s.Between || s.Batch && !r.options.Alone)
	for i, t := range s.trees {
		outside := between && !w.tx.Explicit && t.Head.NoTransaction(r.options.Dialect)
		if outside {
			w.begin(false)
		}
		w.statement(t, i == len(s.trees)-1)
		if outside {
			w.begin(true)
		}
	}
	found := append(s.ignores.apply(w.found), s.ignores.complaints(s.File)...)
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
	return found
}

// A walk goes through one file.
type walk struct {
	*run
	script  *script
	tx      *Tx
	whole   bool // what no BEGIN and COMMIT are around is a transaction
	timeout string
	scanned map[string]bool
	found   []Finding
}

// begin starts a transaction, or the time between two.
func (w *walk) begin(in bool) {
	w.tx = newTx(in)
	w.tx.Scanned = w.scanned
}

func (w *walk) statement(t *sqltext.Tree, last bool) {
	if t.Unread != "" && !newer(t) {
		w.add(t, nil, unreadable(w.options.Dialect), Hit{
			Class: Block, Breaks: true,
			Message: fmt.Sprintf("This cannot be read from %q on, so nobody can tell what it does.", t.Unread),
		})
	}
	if !w.tx.In {
		before := w.tx
		w.begin(false)
		w.tx.LockTimeout, w.tx.TimeZoneUTC = before.LockTimeout, before.TimeZoneUTC
	}
	w.control(t)
	ops := w.ops(t)
	for i, o := range ops {
		o.First, o.Last, o.End = i == 0, i == len(ops)-1, last
		w.op(o)
	}
	for _, o := range ops {
		if o.reads {
			w.scanned[o.Table] = true
		}
	}
}

// ops cuts a statement into operations.
func (w *walk) ops(t *sqltext.Tree) []*Op {
	base := Op{Tree: t, Schema: w.schema, Release: w.release, Version: w.options.Version, Alone: w.options.Alone, Down: w.script.Down}
	switch {
	case t.On != "":
		base.Table = Plain(t.On)
	case len(t.Names) == 1:
		base.Table = Plain(t.Names[0])
	}
	if t.Verb != "ALTER" || len(t.Parts) == 0 || t.Object != "TABLE" && t.Object != "FOREIGN TABLE" {
		if len(t.Parts) > 0 && t.Verb == "ALTER" {
			base.Part = &t.Parts[0]
		}
		return []*Op{&base}
	}
	all := make([]*Op, len(t.Parts))
	for i := range t.Parts {
		o := base
		o.Part = &t.Parts[i]
		all[i] = &o
	}
	return all
}

func (w *walk) op(o *Op) {
	o.Tx = w.tx
	for _, rule := range w.rules {
		for _, h := range rule.Check(o) {
			if h.Class == "" {
				h.Class = rule.Class
			}
			h.Message += w.size(o, &h)
			o.Locks = append(o.Locks, h.Locks...)
			o.reads = o.reads || o.alters() && (h.Work == Scan || h.Work == Rewrite)
			w.add(o.Tree, o.Part, rule.ID, h)
		}
	}
	if o.Part != nil && o.alters() {
		w.schema.learnPart(o.Tree, o.Part, !w.script.Existing && !w.script.Down)
	} else {
		w.schema.learn(o.Tree, !w.script.Existing && !w.script.Down)
	}
	if o.Part != nil && o.Part.Verb == "RENAME TO" && w.release.Rebuilt[Plain(o.Part.To)] {
		w.schema.replaced(o.Part.To)
	}
	w.note(o)
}

// smallTable is how many rows are read or written in a moment.
const smallTable = 10_000

// size says how many rows the work is about, where that is known. What only
// keeps others waiting does so for a moment where there are few, and shiplock
// does not wait long for the lock: it is good to know, then, and no more. A
// snapshot may be old: only what is live says that a table is small.
func (w *walk) size(o *Op, h *Hit) string {
	t := w.schema.Table(o.Table)
	if h.Work == "" || t == nil || t.Rows < 0 || t.New {
		return ""
	}
	text := fmt.Sprintf(" There are about %d rows.", t.Rows)
	if !w.options.Live || t.Rows > smallTable || h.Breaks || h.Stuck || h.Data || h.Class != Block && h.Class != Warn {
		return text
	}
	if h.Class = Info; o.Alone {
		h.Class = Warn
	}
	return text[:len(text)-1] + ": it takes a moment."
}

func (w *walk) add(t *sqltext.Tree, p *sqltext.Part, rule string, h Hit) {
	f := Finding{File: w.script.Name, Line: t.Line, Column: t.Column, Rule: rule, Class: h.Class, Statement: t.SQL, Hit: h}
	if p != nil && p.End > p.Start && p.End <= len(t.SQL) {
		f.Part = t.SQL[p.Start:p.End]
	}
	w.found = append(w.found, f)
}

// control follows BEGIN, COMMIT and SET.
func (w *walk) control(t *sqltext.Tree) {
	switch t.Verb {
	case "BEGIN", "START":
		if !w.tx.In || w.whole && !w.tx.Explicit {
			timeout := w.tx.LockTimeout
			w.begin(true)
			w.tx.Explicit, w.tx.LockTimeout = true, timeout
		}
	case "COMMIT", "END", "ROLLBACK", "ABORT":
		if t.Has("TO") {
			return
		}
		w.begin(w.whole)
		w.tx.LockTimeout = w.timeout
	case "SET":
		switch t.Head.Object {
		case "LOCK_TIMEOUT":
			w.tx.LockTimeout = t.Value
			if !t.Local {
				w.timeout = t.Value
			}
		case "TIME", "TIMEZONE":
			w.tx.TimeZoneUTC = strings.Contains(strings.ToUpper(t.SQL), "UTC")
		}
	case "RESET":
		if t.Has("LOCK_TIMEOUT") || t.Has("ALL") {
			w.tx.LockTimeout, w.timeout = "", ""
		}
	}
}

// note remembers what an operation did to its transaction.
func (w *walk) note(o *Op) {
	for _, l := range o.Locks {
		if l.Mode == AccessExclusive && w.tx.In {
			w.tx.Held[l.Table] = true
		}
	}
	switch {
	case o.Verb == "UPDATE" || o.Verb == "DELETE" || o.Verb == "INSERT" && o.Has("SELECT"):
		if o.Known(o.Table) {
			w.tx.Rows[o.Table] = true
		}
	case o.Part == nil:
	case o.Part.Verb == "ADD CONSTRAINT" && o.Part.NotValid:
		w.tx.NotValid[o.Of()] = true
	}
	if o.Verb == "ALTER" && o.Object == "TYPE" && len(o.Actions) > 0 && o.Actions[0].Verb == "ADD VALUE" {
		w.tx.Labels = append(w.tx.Labels, o.Actions[0].Name)
	}
}
