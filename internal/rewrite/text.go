package rewrite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// A Request says what is known besides the text.
type Request struct {
	Context
	// Fill has, for "table.column", the expression that rows without a value
	// get.
	Fill map[string]string
	Name string // of the migration, for the part of it that is kept
}

// A Refusal is a statement that has no safe way here.
type Refusal struct {
	Line      int    `json:"line,omitempty"`
	Statement string `json:"statement"`
	Reason    string `json:"reason"`
	ByHand    string `json:"by_hand"`
}

// A Result is what became of a migration.
type Result struct {
	Plan
	Refused []Refusal
	Changed int // statements, or actions of ALTER TABLE, that got another form
}

// Text rewrites the way up of a migration. What needs no other form is kept,
// in its place; what has none is kept, too, and named.
func Text(text string, r Request) (Result, error) {
	all, err := sqltext.Split(text, r.Dialect)
	if err != nil {
		return Result{}, err
	}
	if r.Schema == nil {
		r.Schema = lint.NewSchema()
	}
	w := &walk{Request: r, made: map[string]bool{}}
	for _, st := range all {
		w.statement(st)
		if err := lint.Learn(r.Schema, r.Dialect, r.Name, st.SQL); err != nil {
			return Result{}, fmt.Errorf("line %d: %w", st.Line, err)
		}
	}
	w.flush()
	w.unindexed()
	Order(w.out.Steps)
	return w.out, nil
}

// A walk goes through the statements of a migration.
type walk struct {
	Request
	made map[string]bool // "table" and "table.column" that the migration creates
	kept []kept
	keys []foreignKey // that the text adds
	out  Result
	at   sqltext.Statement
}

// statement takes one, action by action where it has several.
func (w *walk) statement(st sqltext.Statement) {
	w.at = st
	t := st.Tree(w.Dialect)
	switch t.Verb {
	case "BEGIN", "START", "COMMIT", "END":
		return // each file is a transaction of its own
	}
	table := ""
	if t.On != "" {
		table = lint.Plain(t.On)
	} else if len(t.Names) == 1 {
		table = lint.Plain(t.Names[0])
	}
	switch {
	case t.Unread != "":
		w.refuse(Refusal{Reason: fmt.Sprintf("it cannot be read from %q on", t.Unread), ByHand: "write it in another way, or say with a declaration why the running release can live with it"})
	case t.Verb == "CREATE" && t.Object == "TABLE" && !t.Temporary:
		w.made[table] = true
		w.keep(t, nil)
	case table == "" || w.made[table]:
		w.keep(t, nil)
	case t.Verb == "ALTER" && t.Object == "TABLE":
		for i := range t.Parts {
			w.action(t, &t.Parts[i], table)
		}
	case t.Object == "INDEX" && t.Verb == "CREATE":
		w.index(t, table)
	case t.Object == "INDEX" && t.Verb == "DROP" && !t.Cascade:
		w.dropIndex(t)
	case t.Verb == "DROP" && t.Object == "TABLE":
		w.destructive(t, nil, fmt.Sprintf("no release that runs uses %s", table))
	default:
		w.keep(t, nil)
	}
}

func (w *walk) index(t *sqltext.Tree, table string) {
	if t.Concurrently && !t.Unique || w.Dialect != sqltext.Postgres {
		w.keep(t, nil)
		return
	}
	w.take(w.Index(t, w.newColumns(table, t.KeyColumns)))
}

func (w *walk) dropIndex(t *sqltext.Tree) {
	if p := w.DropIndex(t); len(p.Steps) > 0 && w.Dialect == sqltext.Postgres {
		w.take(p, nil)
		return
	}
	w.keep(t, nil)
}

// action takes one action of an ALTER TABLE.
func (w *walk) action(t *sqltext.Tree, p *sqltext.Part, table string) {
	of := table + "." + p.Name
	switch {
	case w.made[of] && p.Verb != "SET NOT NULL":
		w.keep(t, p)
	case p.Verb == "ADD COLUMN":
		w.made[of] = true
		w.addColumn(t, p, table)
	case p.Verb == "DROP COLUMN":
		w.destructive(t, p, fmt.Sprintf("no release that runs uses %s", of))
	case p.Verb == "RENAME COLUMN":
		w.rename(table, p)
	case w.Dialect != sqltext.Postgres:
		w.keepSQLite(t, p, table)
	case p.Verb == "SET NOT NULL":
		w.notNull(t, p, table)
	case p.Verb == "TYPE":
		w.retype(t, p, table)
	case p.Verb == "ADD CONSTRAINT":
		w.addConstraint(t, p, table)
	default:
		w.keep(t, p)
	}
}

func (w *walk) rename(table string, p *sqltext.Part) {
	if w.Dialect == sqltext.SQLite {
		w.take(w.RenameSQLite(table, p.Name, p.To))
		return
	}
	w.take(w.Rename(table, p.Name, p.To))
}

func (w *walk) notNull(t *sqltext.Tree, p *sqltext.Part, table string) {
	known := w.column(table, p.Name)
	if known != nil && known.Known && known.NotNull {
		w.keep(t, p)
		return
	}
	fill := w.Fill[table+"."+p.Name]
	if fill == "" && known != nil && known.Default != "" {
		fill = known.Default
	}
	plan, refusal := w.NotNull(table, p.Name, fill)
	if fill == "" {
		plan.note("What rows without %[1]s.%[2]s shall hold is not known: --fill %[1]s.%[2]s=EXPRESSION adds a trigger and a backfill. As it is, it is for a database in which a release before fills all.", table, p.Name)
	}
	w.take(plan, refusal)
}

func (w *walk) retype(t *sqltext.Tree, p *sqltext.Part, table string) {
	known := w.column(table, p.Name)
	if known != nil && p.Using == "" && lint.Widens(w.Schema.Domain(known.Type), p.Type) {
		w.keep(t, p) // it changes the catalog alone
		return
	}
	w.take(w.Type(table, p.Name, p.Type, p.Using))
}

func (w *walk) addConstraint(t *sqltext.Tree, p *sqltext.Part, table string) {
	k := Constraint{ConstraintDef: p.Constraint, New: w.newColumns(table, p.Constraint.Columns)}
	if k.Kind == "CHECK" {
		columns := w.columnsOf(table, k.Expr)
		k.New = w.newColumns(table, columns)
	}
	k.Text = constraintText(t.SQL[p.Start:p.End])
	switch {
	case k.Kind == "NOT NULL" && len(k.Columns) == 1 && !k.NotValid:
		w.notNull(t, &sqltext.Part{Action: sqltext.Action{Name: k.Columns[0]}, Start: p.Start, End: p.End}, table)
	case k.Kind == "EXCLUDE":
		w.refuse(Refusal{
			Reason: "PostgreSQL has no way to add an EXCLUDE constraint beside the traffic",
			ByHand: "make a new table with it and copy the rows, or deploy it with --accept maintenance",
		})
	case k.NotValid || k.Unchecked || k.Index != "" || k.Text == "":
		w.keep(t, p)
	case k.Kind == "CHECK", k.Kind == "FOREIGN KEY":
		w.refers(table, k)
		w.take(w.NotValid(table, k), nil)
	case k.Kind == "UNIQUE", k.Kind == "PRIMARY KEY":
		w.take(w.Unique(table, k))
	default:
		w.keep(t, p)
	}
}

type foreignKey struct{ table, column, to string }

func (w *walk) refers(table string, k Constraint) {
	if k.Kind == "FOREIGN KEY" && len(k.Columns) > 0 {
		w.keys = append(w.keys, foreignKey{table, k.Columns[0], lint.Plain(k.References)})
	}
}

// unindexed notes the foreign keys that have no index in the end.
func (w *walk) unindexed() {
	for _, k := range w.keys {
		if !w.indexed(k.table, k.column) {
			w.out.note("No index of %s that begins with %s is known: without one every DELETE from %s reads all of it.", k.table, k.column, k.to)
		}
	}
}

// constraintText takes ADD CONSTRAINT name off an action.
func constraintText(action string) string {
	upper := strings.ToUpper(action)
	best := -1
	for _, word := range []string{"CHECK", "FOREIGN KEY", "UNIQUE", "PRIMARY KEY"} {
		if at := strings.Index(upper, word); at >= 0 && (best < 0 || at < best) && (at == 0 || upper[at-1] == ' ' || upper[at-1] == '\n') {
			best = at
		}
	}
	if best < 0 {
		return ""
	}
	return action[best:]
}

func (w *walk) newColumns(table string, columns []string) bool {
	return len(columns) > 0 && !slices.ContainsFunc(columns, func(column string) bool { return !w.made[table+"."+column] })
}

// take adds a plan, after what was kept before it.
func (w *walk) take(p Plan, refusal *Refusal) {
	if refusal != nil {
		w.refuse(*refusal)
		return
	}
	w.flush()
	w.out.Changed++
	w.out.Steps = append(w.out.Steps, p.Steps...)
	w.out.Backfills = append(w.out.Backfills, p.Backfills...)
	w.out.Notes = append(w.out.Notes, p.Notes...)
}

func (w *walk) refuse(r Refusal) {
	r.Line, r.Statement = w.at.Line, excerpt(w.at.SQL)
	w.out.Refused = append(w.out.Refused, r)
}

// destructive keeps what takes something away, for the contract.
func (w *walk) destructive(t *sqltext.Tree, p *sqltext.Part, reason string) {
	w.flush()
	w.out.Changed++
	sql, what := t.SQL, "drop_"+last(t.Names[0])
	if p != nil {
		sql, what = alter(lint.Plain(t.Names[0]), t.SQL[p.Start:p.End]), name("drop", last(t.Names[0]), p.Name)
	}
	w.out.Steps = append(w.out.Steps, Step{Name: what, Phase: ship.Contract, Reason: reason, Up: []string{sql}, WhyNot: "what it held is gone"})
}

// Order puts the steps of the contract behind all others.
func Order(steps []Step) {
	slices.SortStableFunc(steps, func(a, b Step) int { return rank(a) - rank(b) })
}

func rank(s Step) int {
	if s.Phase == ship.Contract {
		return 1
	}
	return 0
}

func excerpt(sql string) string {
	const most = 100
	words := []rune(strings.Join(strings.Fields(sql), " "))
	if len(words) > most {
		return string(words[:most]) + "…"
	}
	return string(words)
}
