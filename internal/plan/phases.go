package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// Phases cuts what is pending into what a run that deploys carries out and the
// contracts that wait for a run of their own. A contract waits when its author
// says that it is one, or when it does nothing but take things away: then the
// release that brings it can do without.
type Phases struct {
	Now    []ship.Migration
	Waits  []ship.Migration
	Cannot map[string]Cannot // by the migration's ID: contracts that cannot wait
}

// Cannot says why a contract cannot wait, as a clause, and what to do about it.
type Cannot struct{ Why, Do string }

// phases cuts the pending migrations. In an empty database nothing lives that
// would have to be waited for; in any other something may that cannot be seen
// from here. Where a person accepts an interruption nothing has to wait.
func phases(f Facts, todo []ship.Migration) Phases {
	p := Phases{Cannot: map[string]Cannot{}}
	if f.From == nil && len(todo) == len(f.Listing.Migrations) || f.Request.Options.Accept != "" {
		p.Now = todo
		return p
	}
	for _, m := range todo {
		if m.Phase != ship.Contract {
			p.Now = append(p.Now, m)
			continue
		}
		if c := cannotWait(f, m, todo); c.Why != "" {
			p.Now = append(p.Now, m)
			p.Cannot[m.ID] = c
			continue
		}
		p.Waits = append(p.Waits, m)
	}
	if f.From == nil && blocked(f, p) != nil {
		return Phases{Now: todo} // nothing is seen to serve: a first migration that was cut off goes on
	}
	return p
}

// cannotWait says why a contract cannot wait; nothing when it can.
func cannotWait(f Facts, m ship.Migration, todo []ship.Migration) Cannot {
	dialect := dialectOf(f)
	if m.Declared == ship.Contract && strings.TrimSpace(m.Reason) != "" {
		return Cannot{}
	}
	t := Takes(m, dialect)
	switch {
	case len(t.Taken) > 0 && len(t.Else) > 0:
		return mixed(m, t)
	case !t.Alone():
		return Cannot{
			Why: fmt.Sprintf("whether %s can do without it cannot be told", called(f.Request.Release)),
			Do:  "make it compatible (expand now, contract later: it waits where it declares -- shiplock: phase=contract reason=\"…\")",
		}
	}
	for _, part := range requiredOf(f, t) {
		if !relaxed(part, todo, dialect) {
			return Cannot{
				Why: fmt.Sprintf("%s is NOT NULL without a default: as long as it waits, %s, which no longer writes it, could insert nothing", part, called(f.Request.Release)),
				Do:  "let it be NULL or give it a default first, in a migration of its own (the contract waits then)",
			}
		}
	}
	return Cannot{}
}

// mixed says how a file is split that takes something away and does more.
func mixed(m ship.Migration, t sqltext.Takings) Cannot {
	return Cannot{
		Why: fmt.Sprintf("it is one unit that does both: line %d takes away %s (contract), line %d does something else (%s)", t.Taken[0].Line, t.Taken[0], t.Else[0].Line, firstLine(t.Else[0].SQL)),
		Do:  fmt.Sprintf("make two migrations of %s, and let what takes away be the last (it waits then)", m.ID),
	}
}

func firstLine(sql string) string {
	const most = 60
	line := strings.Join(strings.Fields(sql), " ")
	if r := []rune(line); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return line
}

func dialectOf(f Facts) sqltext.Dialect {
	if d := f.Request.Environment.Database; d != nil {
		return sqltext.Dialect(d.Kind)
	}
	return sqltext.Postgres
}

// Takes says what a migration takes away, by its SQL and, where Django makes a
// table of SQLite anew, by its operations.
func Takes(m ship.Migration, d sqltext.Dialect) sqltext.Takings {
	t, err := sqltext.Takes(m.SQL, d)
	if err != nil {
		return sqltext.Takings{}
	}
	if named, ok := removed(m); ok && !t.Alone() {
		return named
	}
	return t
}

// removed reads Django's own words: "RemoveField product.price". ok is false
// when an operation does anything but remove.
func removed(m ship.Migration) (t sqltext.Takings, ok bool) {
	app, _, _ := strings.Cut(m.ID, ".")
	for _, op := range m.Operations {
		kind, target, _ := strings.Cut(op, " ")
		model, field, _ := strings.Cut(target, ".")
		table := app + "_" + strings.ToLower(model)
		switch kind {
		case "RemoveField":
			t.Taken = append(t.Taken, sqltext.Taken{Kind: "column", Table: table, Column: field, Line: 1})
		case "DeleteModel":
			t.Taken = append(t.Taken, sqltext.Taken{Kind: "table", Table: table, Line: 1})
		default:
			return sqltext.Takings{}, false
		}
	}
	return t, len(t.Taken) > 0
}

// Pieces are what a migration takes away that somebody can use or need.
func Pieces(m ship.Migration, d sqltext.Dialect) []database.Piece {
	var all []database.Piece
	for _, x := range Takes(m, d).Taken {
		if x.Used() || slices.Contains([]string{"function", "type", "domain", "sequence"}, x.Kind) {
			all = append(all, database.Piece{Kind: x.Kind, Table: x.Table, Column: x.Column})
		}
	}
	return all
}

func requiredOf(f Facts, t sqltext.Takings) []database.Piece {
	var all []database.Piece
	for _, x := range t.Taken {
		p := database.Piece{Kind: "column", Table: x.Table, Column: x.Column}
		if x.Column != "" && (x.Kind == "column" || x.Kind == "default") && slices.Contains(f.Required, p) {
			all = append(all, p)
		}
	}
	return all
}

// relaxed tells whether what is pending lets rows be written without a column.
func relaxed(part database.Piece, todo []ship.Migration, d sqltext.Dialect) bool {
	for _, m := range todo {
		all, err := sqltext.Split(m.SQL, d)
		if err != nil || m.Phase == ship.Contract {
			continue
		}
		for _, s := range all {
			t := s.Tree(d)
			if len(t.Names) != 1 || t.Names[0] != part.Table {
				continue
			}
			for _, p := range t.Parts {
				if p.Name == part.Column && (p.Verb == "DROP NOT NULL" || p.Verb == "SET DEFAULT") {
					return true
				}
			}
		}
	}
	return false
}

// blocked refuses a run in which something that is to be carried out now builds
// on a contract that waits.
func blocked(f Facts, p Phases) *ship.Refusal {
	env := f.Request.Environment.ID.Name
	for _, w := range p.Waits {
		for _, m := range p.Now {
			if !buildsOn(f.Listing, m, w, dialectOf(f)) {
				continue
			}
			r := &ship.Refusal{
				Kind: ship.Refused, Hint: "shiplock migrate contract " + env,
				Reason: fmt.Sprintf("%s needs %s, which builds on %s, and that is a contract which waits for a run of its own", called(f.Request.Release), m.ID, w.ID),
			}
			if f.From == nil || !carries(*f.From, []ship.Migration{w}) {
				r.Hint = fmt.Sprintf("let %s come after %s, as the last of its release; or accept an interruption: shiplock deploy %s --accept hold|maintenance", w.ID, m.ID, env)
			}
			return r
		}
	}
	return nil
}

// buildsOn tells whether a migration cannot be carried out, or would make
// another schema, before another one: by what it says it needs; where a tool
// goes by a single number, by its place; else when it names what the other
// makes or takes away.
func buildsOn(l *migrate.Listing, m, on ship.Migration, d sqltext.Dialect) bool {
	if slices.ContainsFunc(l.Migrations, func(x ship.Migration) bool { return len(x.Needs) > 0 }) {
		return needs(l, m, on.ID, map[string]bool{})
	}
	place := func(id string) int {
		return slices.IndexFunc(l.Migrations, func(x ship.Migration) bool { return x.ID == id })
	}
	if place(m.ID) < place(on.ID) {
		return false
	}
	return l.Ordered || sqltext.Touch(m.SQL, on.SQL, d)
}

func needs(l *migrate.Listing, m ship.Migration, id string, seen map[string]bool) bool {
	if seen[m.ID] {
		return false
	}
	seen[m.ID] = true
	for _, n := range m.Needs {
		if n == id {
			return true
		}
		at := slices.IndexFunc(l.Migrations, func(x ship.Migration) bool { return x.ID == n })
		if at >= 0 && needs(l, l.Migrations[at], id, seen) {
			return true
		}
	}
	return false
}

// waitNotes say of the contracts that wait what they wait for.
func waitNotes(f Facts, p Phases) (notes []string) {
	for _, m := range p.Waits {
		what := "what it takes away"
		if t := Takes(m, dialectOf(f)); len(t.Taken) > 0 {
			what = t.Taken[0].String()
		}
		notes = append(notes, fmt.Sprintf("%s is a contract and waits for a run of its own: until nothing runs that was made before it%s, and nothing in the database uses %s; then: shiplock migrate contract %s",
			m.ID, since(f), what, f.Request.Environment.ID.Name))
		for _, part := range requiredOf(f, Takes(m, dialectOf(f))) {
			if m.Declared == ship.Contract && !relaxed(part, f.Listing.Migrations, dialectOf(f)) {
				notes = append(notes, fmt.Sprintf("%s is NOT NULL without a default: %s must write it as long as %s waits", part, called(f.Request.Release), m.ID))
			}
		}
	}
	return notes
}

// since says the time that has to pass, as a part of a list.
func since(f Facts) string {
	if after(f) <= 0 {
		return ""
	}
	return ", " + days(after(f)) + " have passed since"
}
