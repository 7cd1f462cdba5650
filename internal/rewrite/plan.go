package rewrite

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// A Context is what is known of the database that a change is for.
type Context struct {
	Dialect sqltext.Dialect
	Version int          // as [lint.ParseVersion] has it
	Schema  *lint.Schema // before the change; nil is nothing
}

// A Step is one migration: what is carried out in one transaction, or one
// statement that must be outside of any.
type Step struct {
	Name   string // what it does, for the name of a file: "orders_total_add_check"
	Phase  ship.Phase
	Reason string // why it may be of that phase; "" leaves the judgement to lint
	Up     []string
	Down   []string // without WhyNot none is nothing to take back
	Alone  bool     // outside of a transaction
	WhyNot string
}

// A Backfill is a change of rows in batches, as package backfill reads it.
type Backfill struct {
	Name      string
	Table     string
	Key       []string
	Guessed   bool // nobody knows whether Key is a key
	Reason    string
	Statement string // with :page
}

// A Plan is a change in safe steps: those of phase expand, the backfills, and
// those of phase contract, which are for a later release.
type Plan struct {
	Steps     []Step
	Backfills []Backfill
	Notes     []string // what a person has to know or decide, a sentence each
}

// File returns the text of a backfill's file.
func (b Backfill) File() string {
	return fmt.Sprintf("-- shiplock: backfill table=%s key=%s reason=%q\n%s;\n", b.Table, strings.Join(b.Key, ","), b.Reason, b.Statement)
}

// SQL returns the plan as text to paste, with what belongs in which
// transaction as comments.
func (p Plan) SQL() string {
	var b strings.Builder
	phase := ship.Phase("")
	for _, s := range p.Steps {
		if s.Phase == ship.Contract && phase != ship.Contract {
			p.fills(&b)
			if b.Len() > 0 {
				b.WriteString("-- in a later release, when nothing needs the old shape any more:\n")
			}
		}
		phase = s.Phase
		for i, sql := range s.Up {
			b.WriteString(sql + ";")
			switch {
			case s.Alone:
				b.WriteString(" -- outside of a transaction")
			case i == 0 && strings.Contains(sql, " VALIDATE CONSTRAINT "):
				b.WriteString(" -- in a transaction of its own")
			}
			b.WriteByte('\n')
		}
	}
	if phase != ship.Contract {
		p.fills(&b)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (p Plan) fills(b *strings.Builder) {
	for _, f := range p.Backfills {
		fmt.Fprintf(b, "-- in batches, each in a transaction of its own, as backfills/%s.sql:\n%s;\n", f.Name, f.Statement)
	}
}

func (p *Plan) add(steps ...Step) { p.Steps = append(p.Steps, steps...) }

func (p *Plan) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}
