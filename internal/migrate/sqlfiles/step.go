package sqlfiles

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/sqltext"
)

// A part is the way up or down of a migration.
type part struct {
	path     string
	source   string // the whole file, for lines
	text     string // this part of it; of a way up from the file's beginning
	segments []segment
	alone    bool   // its author asked for no transaction around it
	refused  string // why it cannot be carried out, a half sentence; "" is none
}

// A segment is a range of the source. A whole one is one statement because
// its author says so.
type segment struct {
	start, end int
	whole      bool
}

// A statement is one with its head read.
type statement struct {
	sqltext.Statement
	head sqltext.Head
}

// A step is what is carried out and recorded at once.
type step struct {
	statements []statement
	first      int // index of its first statement in the part
	atomic     bool
	// session are the statements that set up the session and come before, in
	// an earlier step: they are carried out again when the session is new.
	session []statement
}

// after returns how many statements are done once s is.
func (s step) after() int { return s.first + len(s.statements) }

func (s step) sql() []string { return texts(s.statements) }

func texts(all []statement) []string {
	var sql []string
	for _, st := range all {
		sql = append(sql, st.SQL)
	}
	return sql
}

// atomic tells whether the part is one transaction. What cannot be read is not.
func (p *part) atomic(d sqltext.Dialect) bool {
	steps, err := p.steps(d)
	return err == nil && isAtomic(steps)
}

func isAtomic(steps []step) bool { return len(steps) == 0 || len(steps) == 1 && steps[0].atomic }

// steps cuts the part into what is carried out at once.
func (p *part) steps(d sqltext.Dialect) ([]step, error) {
	if p.refused != "" {
		return nil, fmt.Errorf("%s: %s", p.path, p.refused)
	}
	all, err := p.statements(d)
	if err != nil {
		return nil, fmt.Errorf("%s, %w", p.path, err)
	}
	b := builder{dialect: d, alone: p.alone}
	for _, st := range all {
		if err := b.add(st); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", p.path, st.Line, err)
		}
	}
	if b.open {
		return nil, fmt.Errorf("%s: its BEGIN has no COMMIT", p.path)
	}
	b.flush()
	return b.steps, nil
}

func (p *part) statements(d sqltext.Dialect) ([]statement, error) {
	var all []statement
	for _, seg := range p.segments {
		text := p.source[seg.start:seg.end]
		lines := strings.Count(p.source[:seg.start], "\n")
		if seg.whole {
			if sql := strings.TrimSpace(text); sql != "" {
				lines += strings.Count(text[:strings.Index(text, sql)], "\n")
				st := sqltext.Statement{SQL: sql, Line: lines + 1, Column: 1, Offset: seg.start + strings.Index(text, sql)}
				all = append(all, statement{st, st.Head(d)})
			}
			continue
		}
		found, err := sqltext.Split(text, d)
		if e, ok := errors.AsType[*sqltext.Error](err); ok {
			return nil, &sqltext.Error{Line: e.Line + lines, Column: e.Column, Text: e.Text}
		}
		if err != nil {
			return nil, err
		}
		for _, st := range found {
			st.Line += lines
			st.Offset += seg.start
			all = append(all, statement{st, st.Head(d)})
		}
	}
	return all, nil
}

// A builder gathers statements into steps.
type builder struct {
	dialect sqltext.Dialect
	alone   bool
	steps   []step
	session []statement // so far
	next    int         // index of the next statement
	group   []statement // of the transaction under way
	open    bool        // the file itself began it
	before  []statement // what session was when the group began
}

func (b *builder) add(st statement) error {
	switch word := strings.ToUpper(strings.Join(strings.Fields(st.SQL), " ")); {
	case begins(st.head, word):
		if b.open {
			return errors.New("there is a BEGIN within a transaction")
		}
		b.flush()
		b.open = true
		return nil
	case slices.Contains([]string{"COMMIT", "COMMIT WORK", "COMMIT TRANSACTION", "END", "END WORK", "END TRANSACTION"}, word):
		if !b.open {
			return fmt.Errorf("there is a %s without a BEGIN", word)
		}
		b.flush()
		b.open = false
		return nil
	case slices.Contains([]string{"COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "PREPARE"}, st.head.Verb) && (st.head.Verb != "PREPARE" || strings.HasPrefix(word, "PREPARE TRANSACTION")):
		return fmt.Errorf("%s cannot be part of a migration: what was done could not be told after a crash", st.head.Verb)
	}
	b.put(st)
	return nil
}

func begins(h sqltext.Head, word string) bool {
	return h.Verb == "BEGIN" || strings.HasPrefix(word, "START TRANSACTION")
}

// put gives st to the transaction under way or a step of its own.
func (b *builder) put(st statement) {
	outside := st.head.NoTransaction(b.dialect)
	switch {
	case b.open:
		b.join(st)
	case outside, b.alone:
		b.flush()
		b.single(st, !outside && transactional(st.head))
	default:
		b.join(st)
	}
	if setsSession(st, b.dialect) {
		b.session = append(b.session[:len(b.session):len(b.session)], st)
	}
}

func (b *builder) join(st statement) {
	if len(b.group) == 0 {
		b.before = b.session
	}
	b.group = append(b.group, st)
}

func (b *builder) single(st statement, atomic bool) {
	b.steps = append(b.steps, step{statements: []statement{st}, first: b.next, atomic: atomic, session: b.session})
	b.next++
}

// flush ends the transaction under way.
func (b *builder) flush() {
	if len(b.group) > 0 {
		b.steps = append(b.steps, step{statements: b.group, first: b.next, atomic: true, session: b.before})
		b.next += len(b.group)
	}
	b.group = nil
}

// transactional tells whether a statement whose author asked for no
// transaction around the file may have one of its own all the same, which
// makes its record exact. What may end transactions itself may not.
func transactional(h sqltext.Head) bool {
	return slices.Contains([]string{
		"CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "TRUNCATE", "COMMENT", "GRANT", "REVOKE", "REFRESH", "REINDEX",
	}, h.Verb)
}

// setsSession tells whether a statement changes nothing but the session.
func setsSession(st statement, d sqltext.Dialect) bool {
	switch st.head.Verb {
	case "PRAGMA":
		return d == sqltext.SQLite
	case "SET", "RESET":
		fields := strings.Fields(strings.ToUpper(st.SQL))
		return len(fields) > 1 && !slices.Contains([]string{"LOCAL", "CONSTRAINTS", "TRANSACTION"}, fields[1])
	}
	return false
}
