package rehearse

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/database"
)

// probesOf writes what a release that knows the tables may send, and says how
// much of it was left out.
func probesOf(tables []database.Table, seen []string) (all []*probe, ignored int) {
	g := generator{tables: tables}
	for i := range tables {
		all = append(all, g.table(&tables[i])...)
	}
	for _, s := range seen {
		all = append(all, &probe{kind: "statement seen", statements: []string{s}, parsed: true})
	}
	if ignored = len(all) - mostProbes; ignored > 0 {
		return all[:mostProbes], ignored
	}
	return all, 0
}

// A generator writes statements for tables as they are.
type generator struct{ tables []database.Table }

// A row is what is given of each column, as SQL.
type row map[string]string

func (g generator) table(t *database.Table) []*probe {
	all := g.reading(t)
	base := g.base(t)
	setup := g.parents(t, 0)
	add := func(kind string, statements ...string) {
		all = append(all, &probe{kind: kind, table: t.Name, statements: append(slices.Clone(setup), statements...)})
	}
	add("minimal insert", insert(t, g.minimal(t)))
	add("full insert", insert(t, base))
	if other, ok := g.sibling(t, base, nil); ok {
		add("duplicate", insert(t, base), insert(t, other))
	}
	for _, k := range t.Keys {
		if k.To == "" && !k.Partial {
			add("upsert", insert(t, base)+" ON CONFLICT ("+idents(t, k.Columns)+") DO NOTHING")
		}
	}
	for _, c := range t.Columns {
		for _, v := range variants(c) {
			if !c.Generated && base[c.Name] != v.value {
				add(v.kind, insert(t, with(base, c.Name, v.value)))
			}
		}
	}
	if key, ok := single(t); ok {
		some := fmt.Sprintf(" WHERE %s IN (SELECT %s FROM %s LIMIT ", key, key, t.Ident)
		for _, c := range t.Columns {
			if !c.Generated && c.Ident != key {
				add("update", fmt.Sprintf("UPDATE %s SET %s = %s%s1000)", t.Ident, c.Ident, c.Ident, some))
				break // any column of a row has the whole row checked
			}
		}
		add("delete", "DELETE FROM "+t.Ident+some+"1)")
	}
	return all
}

// reading probes find rows.
func (g generator) reading(t *database.Table) []*probe {
	columns := idents(t, names(t))
	if columns == "" {
		return nil
	}
	one := func(what string) string { return "SELECT " + what + " FROM " + t.Ident + " LIMIT 1" }
	all := []*probe{
		{kind: "select", table: t.Name, statements: []string{one(columns)}, reads: true},
		{kind: "select *", table: t.Name, statements: []string{one("*")}, reads: true},
		{kind: "prepared select", table: t.Name, statements: []string{one(columns)}, kept: true},
		{kind: "prepared select *", table: t.Name, statements: []string{one("*")}, kept: true},
	}
	for _, c := range t.Columns {
		values := c.Labels
		if len(values) == 0 && len(c.Usual) > 0 {
			values = c.Usual[:1]
		}
		kind := "comparison"
		if len(c.Labels) > 0 {
			kind = "enum label"
		}
		for _, v := range values {
			all = append(all, &probe{kind: kind, table: t.Name, statements: []string{fmt.Sprintf("SELECT 1 FROM %s WHERE %s = %s LIMIT 1", t.Ident, c.Ident, v)}})
		}
	}
	return all
}

// A variant is a value of one column that a release may well write.
type variant struct{ kind, value string }

func variants(c database.Column) []variant {
	var all []variant
	if !c.NotNull {
		all = append(all, variant{"null insert", "NULL"})
	}
	if c.Least != "" {
		all = append(all, variant{"insert at the lower limit", c.Least}, variant{"insert at the upper limit", c.Most})
	}
	if len(c.Usual) > 0 && len(c.Labels) == 0 {
		all = append(all, variant{"orphan", c.Usual[0]})
	}
	for _, l := range c.Labels {
		all = append(all, variant{"enum label", l})
	}
	return all
}

// base is a row that ought to be accepted: its references exist, what must be
// unique is unlikely to be there, and the rest is what another row has.
func (g generator) base(t *database.Table) row {
	r := row{}
	for _, c := range t.Columns {
		if c.Generated || c.Default && inKey(t, c.Name, true) {
			continue
		}
		if v := g.value(t, c, 0); v != "" {
			r[c.Name] = v
		}
	}
	return r
}

func (g generator) value(t *database.Table, c database.Column, nth int) string {
	unique := inKey(t, c.Name, false)
	if k, at := foreign(t, c.Name); k != nil {
		to := target(k, at)
		if parent := g.find(k.To); parent != nil && to == "" {
			to, _ = single(parent)
		}
		free := ""
		if unique {
			free = fmt.Sprintf(" WHERE %s NOT IN (SELECT %s FROM %s WHERE %s IS NOT NULL)", to, c.Ident, t.Ident, c.Ident)
		}
		return fmt.Sprintf("(SELECT %s FROM %s%s LIMIT 1)", to, k.To, free)
	}
	if unique || t.Rows == 0 {
		if len(c.Usual) > nth {
			return c.Usual[nth]
		}
	}
	return fmt.Sprintf("(SELECT %s FROM %s LIMIT 1)", c.Ident, t.Ident)
}

// minimal is what must be given.
func (g generator) minimal(t *database.Table) row {
	r := g.base(t)
	for _, c := range t.Columns {
		if !c.NotNull || c.Default {
			delete(r, c.Name)
		}
	}
	return r
}

// sibling is a row that may stand beside base: what must be unique differs,
// but for the columns of one key. It is not known where that is a reference.
func (g generator) sibling(t *database.Table, base row, same []string) (row, bool) {
	r := with(base, "", "")
	for _, c := range t.Columns {
		if _, given := base[c.Name]; !given || !inKey(t, c.Name, false) || slices.Contains(same, c.Name) {
			continue
		}
		if k, _ := foreign(t, c.Name); k != nil || len(c.Usual) < 2 {
			return nil, false
		}
		r[c.Name] = c.Usual[1]
	}
	return r, true
}

// depth bounds how far rows that others refer to are made.
const depth = 4

// parents inserts rows into the tables a row refers to, where they are empty.
func (g generator) parents(t *database.Table, level int) []string {
	var all []string
	for _, k := range t.Keys {
		parent := g.find(k.To)
		if k.To == "" || parent == nil || parent == t || parent.Rows > 0 || level == depth {
			continue
		}
		s := insert(parent, g.base(parent))
		if !slices.Contains(all, s) {
			all = append(append(all, g.parents(parent, level+1)...), s)
		}
	}
	return all
}

func (g generator) find(ident string) *database.Table {
	for i := range g.tables {
		if g.tables[i].Ident == ident {
			return &g.tables[i]
		}
	}
	return nil
}

// insert writes a row in the order of the table's columns.
func insert(t *database.Table, r row) string {
	var columns, values []string
	for _, c := range t.Columns {
		if v, ok := r[c.Name]; ok {
			columns, values = append(columns, c.Ident), append(values, v)
		}
	}
	if len(columns) == 0 {
		return "INSERT INTO " + t.Ident + " DEFAULT VALUES"
	}
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", t.Ident, strings.Join(columns, ", "), strings.Join(values, ", "))
}

// with returns a copy of r with one value changed.
func with(r row, column, value string) row {
	out := make(row, len(r)+1)
	for k, v := range r {
		out[k] = v
	}
	if column != "" {
		out[column] = value
	}
	return out
}

func names(t *database.Table) []string {
	all := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		all[i] = c.Name
	}
	return all
}

func idents(t *database.Table, columns []string) string {
	var all []string
	for _, name := range columns {
		for _, c := range t.Columns {
			if c.Name == name {
				all = append(all, c.Ident)
			}
		}
	}
	return strings.Join(all, ", ")
}

// inKey tells whether a column is part of a unique key, or of the primary one.
func inKey(t *database.Table, column string, primary bool) bool {
	return slices.ContainsFunc(t.Keys, func(k database.Key) bool {
		return k.To == "" && (k.Primary || !primary) && slices.Contains(k.Columns, column)
	})
}

// foreign returns the foreign key a column is part of, and its place there.
func foreign(t *database.Table, column string) (*database.Key, int) {
	for i := range t.Keys {
		if at := slices.Index(t.Keys[i].Columns, column); at >= 0 && t.Keys[i].To != "" {
			return &t.Keys[i], at
		}
	}
	return nil, 0
}

// target returns the column a reference goes to; "" is the primary key.
func target(k *database.Key, at int) string {
	if at >= len(k.ToCols) {
		return ""
	}
	return `"` + strings.ReplaceAll(k.ToCols[at], `"`, `""`) + `"`
}

// single returns the column of a primary key of one.
func single(t *database.Table) (ident string, ok bool) {
	for _, k := range t.Keys {
		if k.Primary && len(k.Columns) == 1 {
			return idents(t, k.Columns), true
		}
	}
	return "", false
}
