package lint

import (
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/sqltext"
)

// An Op is one operation, with what is known when it begins.
type Op struct {
	*sqltext.Tree
	Part    *sqltext.Part // the action, of ALTER TABLE; nil otherwise
	Table   string        // it is about, without "public."; "" is none or several
	Schema  *Schema
	Release *Release
	Tx      *Tx
	Version int // of the server: 16; of SQLite: 3040
	Alone   bool
	Down    bool   // it belongs to a way down
	Locks   []Lock // that rules found so far
	Last    bool   // the last operation of its statement
	First   bool   // the first one of its statement
	End     bool   // the last statement of its file

	reads bool // it is an ALTER TABLE that reads or writes all rows
}

// A Release is what the whole of the files do, ahead of the operation at hand.
type Release struct {
	Indexed map[string]bool // "table column": an index begins with it
	Views   map[string]bool // created anywhere
	Rebuilt map[string]bool // tables of SQLite that are dropped and replaced by one made anew
}

// A Tx is the transaction an operation is part of.
type Tx struct {
	In          bool            // there is one, besides the statement's own
	Explicit    bool            // the text begins it
	Held        map[string]bool // tables that exist and are locked ACCESS EXCLUSIVE by what came before
	Rows        map[string]bool // tables whose rows were changed
	NotValid    map[string]bool // "table.constraint" added NOT VALID
	Labels      []string        // enum values added
	Scanned     map[string]bool // tables an ALTER TABLE before this one read, in the whole file
	LockTimeout string          // as set in the text: "", or its value
	TimeZoneUTC bool
}

func newTx(in bool) *Tx {
	return &Tx{In: in, Held: map[string]bool{}, Rows: map[string]bool{}, NotValid: map[string]bool{}}
}

// Is tells whether the operation is an action of ALTER TABLE of one of the
// verbs, on a table the release does not create.
func (o *Op) Is(verbs ...string) bool {
	return o.Part != nil && slices.Contains(verbs, o.Part.Verb) && o.alters() && !o.Schema.NewTable(o.Table)
}

func (o *Op) alters() bool {
	return o.Verb == "ALTER" && (o.Object == "TABLE" || o.Object == "FOREIGN TABLE")
}

// Adds returns the column an ADD COLUMN adds to a table that exists.
func (o *Op) Adds() (sqltext.ColumnDef, bool) {
	if !o.Is("ADD COLUMN") {
		return sqltext.ColumnDef{}, false
	}
	return o.Part.Def, true
}

// AddsConstraint returns the constraint that is added to a table that exists.
func (o *Op) AddsConstraint(kind string) (sqltext.ConstraintDef, bool) {
	if !o.Is("ADD CONSTRAINT") || o.Part.Constraint.Kind != kind {
		return sqltext.ConstraintDef{}, false
	}
	return o.Part.Constraint, true
}

// Creates tells whether the operation creates an object of the kind.
func (o *Op) Creates(object string) bool {
	return o.Verb == "CREATE" && o.Object == object && !o.Temporary
}

// Known tells whether a table exists that the release does not create.
func (o *Op) Known(table string) bool { return table != "" && !o.Schema.NewTable(table) }

// Column returns the column the action is about, or nil.
func (o *Op) Column() *Column { return o.Schema.Column(o.Table, o.Part.Name) }

// NewColumn tells whether the column the action is about is new.
func (o *Op) NewColumn() bool { return o.Schema.NewColumn(o.Table, o.Part.Name) }

// Name returns the name of the object, as shown to people.
func (o *Op) Name() string {
	names := make([]string, len(o.Names))
	for i, n := range o.Names {
		names[i] = Plain(n)
	}
	return strings.Join(names, ", ")
}

// Of qualifies the action's column or constraint with its table.
func (o *Op) Of() string { return o.Table + "." + o.Part.Name }

// On is a lock on a table.
func On(table, mode string) []Lock { return []Lock{{Table: Plain(table), Mode: mode}} }

// Quote writes a name as SQL needs it.
func Quote(name string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		if p == "" || strings.ContainsFunc(p, func(r rune) bool { return !wordRune(r) || r >= 'A' && r <= 'Z' }) || p[0] >= '0' && p[0] <= '9' || reserved(p) {
			parts[i] = `"` + strings.ReplaceAll(p, `"`, `""`) + `"`
		}
	}
	return strings.Join(parts, ".")
}

// Quotes writes a list of names.
func Quotes(names []string) string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = Quote(n)
	}
	return strings.Join(all, ", ")
}

func reserved(word string) bool {
	return slices.Contains([]string{
		"all", "analyse", "analyze", "and", "any", "array", "as", "asc", "both", "case", "cast", "check", "collate", "column", "constraint", "create",
		"default", "desc", "distinct", "do", "else", "end", "except", "false", "fetch", "for", "foreign", "from", "grant", "group", "having", "in",
		"initially", "intersect", "into", "lateral", "leading", "limit", "not", "null", "offset", "on", "only", "or", "order", "placing", "primary",
		"references", "returning", "select", "some", "symmetric", "table", "then", "to", "trailing", "true", "union", "unique", "user", "using",
		"variadic", "when", "where", "window", "with",
	}, word)
}

// NewColumns tells whether all of the columns are new, or added by the action
// itself.
func (o *Op) NewColumns(names []string) bool {
	for _, n := range names {
		if !o.Schema.NewColumn(o.Table, n) && !(o.Part.Verb == "ADD COLUMN" && o.Part.Name == n) {
			return false
		}
	}
	return len(names) > 0
}
