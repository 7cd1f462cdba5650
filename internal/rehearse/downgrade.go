package rehearse

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// mostWrites bounds what the new release is taken to write before it goes down.
const mostWrites = 20

// prove finds out on clones what the way down of m is worth: first without,
// then after the writes that only the new schema accepts.
func (r *rehearsal) prove(ctx context.Context, m ship.Migration) (ship.Downgrade, error) {
	if !m.Reversible {
		return fails("it has no way down: " + m.WhyNot), nil
	}
	r.Progress("taking " + m.ID + " down on a clone")
	var out ship.Downgrade
	var writes [][]string
	err := r.onClone(ctx, func(s database.Shadow) (err error) {
		out, writes, err = r.roundTrip(ctx, s, m)
		return err
	})
	if err != nil || len(writes) == 0 || out.Outcome == ship.DowngradeFails {
		return out, err
	}
	err = r.onClone(ctx, func(s database.Shadow) error {
		written, err := r.afterWrites(ctx, s, m, writes)
		if err != nil {
			return err
		}
		out.Writes = written.Writes
		if written.Outcome != ship.DowngradeExact {
			out.Outcome, out.What = written.Outcome, append(out.What, written.What...)
		}
		return nil
	})
	return out, err
}

func fails(why string) ship.Downgrade {
	return ship.Downgrade{Outcome: ship.DowngradeFails, What: []string{why}}
}

func (r *rehearsal) onClone(ctx context.Context, do func(database.Shadow) error) error {
	clone, err := r.Shadow.Clone(ctx)
	if err != nil {
		return err
	}
	return errors.Join(do(clone), clone.Drop(context.WithoutCancel(ctx)))
}

// A state is all that a way down has to bring back.
type state struct {
	catalog *database.Catalog
	tables  []database.Table
	sums    map[string]database.Sum
}

func stateOf(ctx context.Context, s database.Shadow, over []database.Table) (out state, err error) {
	if out.catalog, err = s.Catalog(ctx); err != nil {
		return out, err
	}
	if out.tables, err = s.Tables(ctx); err != nil {
		return out, err
	}
	if over == nil {
		over = out.tables
	}
	out.sums, err = s.Sums(ctx, over)
	return out, err
}

// roundTrip goes up and down and compares. It returns the writes that work in
// between and do not afterwards.
func (r *rehearsal) roundTrip(ctx context.Context, s database.Shadow, m ship.Migration) (out ship.Downgrade, writes [][]string, err error) {
	before, err := stateOf(ctx, s, nil)
	if err != nil {
		return out, nil, err
	}
	if err := r.up(ctx, s, m); err != nil {
		return fails("it cannot be applied: " + err.Error()), nil, ctx.Err()
	}
	after, err := s.Tables(ctx)
	if err != nil {
		return out, nil, err
	}
	if writes, err = accepted(ctx, s, candidates(before.tables, after), true); err != nil {
		return out, nil, err
	}
	if err := r.down(ctx, s, m); err != nil {
		return fails("its way down fails: " + err.Error()), nil, ctx.Err()
	}
	now, err := stateOf(ctx, s, before.tables)
	if err != nil {
		return out, nil, err
	}
	writes, err = accepted(ctx, s, writes, false)
	return before.compare(now, history(before.tables, after, m)), writes, err
}

// history names the tables that came with the migration and that it does not
// mention: a tool's own, which it makes with the first.
func history(before, after []database.Table, m ship.Migration) (own []string) {
	for _, t := range after {
		short := t.Name[strings.LastIndexByte(t.Name, '.')+1:]
		known := slices.ContainsFunc(before, func(b database.Table) bool { return b.Name == t.Name })
		if !known && m.SQL != "" && !strings.Contains(m.SQL, short) {
			own = append(own, t.Name)
		}
	}
	return own
}

// compare judges what is there after the way down.
func (s state) compare(now state, own []string) ship.Downgrade {
	out := ship.Downgrade{Outcome: ship.DowngradeExact}
	worse := func(o ship.DowngradeOutcome, format string, args ...any) {
		if out.Outcome != ship.DowngradeLossy {
			out.Outcome = o
		}
		out.What = append(out.What, fmt.Sprintf(format, args...))
	}
	for _, d := range database.Diff(s.catalog, now.catalog) {
		switch {
		case slices.ContainsFunc(own, func(table string) bool { return strings.HasPrefix(d.Name, table) }):
		case d.Kind == "order":
			worse(ship.DowngradeReordered, "the columns of %s are in another order", d.Name)
		case d.Before == "":
			worse(ship.DowngradeLossy, "%s %s is left", d.Kind, d.Name)
		case d.After == "":
			worse(ship.DowngradeLossy, "%s %s is lost", d.Kind, d.Name)
		default:
			worse(ship.DowngradeLossy, "%s %s is %s, and was %s", d.Kind, d.Name, shorten(d.After), shorten(d.Before))
		}
	}
	for _, t := range s.tables {
		was, is := s.sums[t.Name], now.sums[t.Name]
		switch {
		case was == is:
		case was.Rows != is.Rows:
			worse(ship.DowngradeLossy, "%s has %d rows, and had %d", t.Name, is.Rows, was.Rows)
		default:
			worse(ship.DowngradeLossy, "values in %s are not as before", t.Name)
		}
	}
	return out
}

// afterWrites goes up, writes what only the new schema accepts, and goes down.
func (r *rehearsal) afterWrites(ctx context.Context, s database.Shadow, m ship.Migration, writes [][]string) (ship.Downgrade, error) {
	out := ship.Downgrade{Outcome: ship.DowngradeExact}
	if err := r.up(ctx, s, m); err != nil {
		return out, fmt.Errorf("it was applied once and then not: %w", err)
	}
	var err error
	if out.Writes, err = commit(ctx, s, writes); err != nil {
		return out, err
	}
	before, err := s.Sums(ctx, r.tablesOf(ctx, s))
	if err != nil {
		return out, err
	}
	if err := r.down(ctx, s, m); err != nil {
		failed := fails("its way down fails after the new release wrote: " + err.Error())
		failed.Writes = out.Writes
		return failed, ctx.Err()
	}
	after, err := s.Sums(ctx, r.tablesOf(ctx, s))
	for _, t := range r.tablesOf(ctx, s) {
		wrote := slices.ContainsFunc(writes, func(w []string) bool { return strings.Contains(w[len(w)-1], "INTO "+t.Ident+" ") })
		if was, is := before[t.Name], after[t.Name]; wrote && is.Rows < was.Rows {
			out.Outcome = ship.DowngradeLossy
			out.What = append(out.What, fmt.Sprintf("%d rows of %s that the new release wrote are lost", was.Rows-is.Rows, t.Name))
		}
	}
	return out, err
}

// tablesOf returns the tables without their columns: only rows are counted.
func (r *rehearsal) tablesOf(ctx context.Context, s database.Shadow) []database.Table {
	tables, err := s.Tables(ctx)
	if err != nil {
		return nil
	}
	for i := range tables {
		tables[i].Columns = tables[i].Columns[:min(1, len(tables[i].Columns))]
	}
	return tables
}

// accepted returns those of the writes that a session of the application can
// make, or cannot.
func accepted(ctx context.Context, s database.Shadow, writes [][]string, want bool) (out [][]string, err error) {
	if len(writes) == 0 {
		return nil, nil
	}
	session, err := s.App(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = session.Close(context.WithoutCancel(ctx)) }()
	for _, w := range writes {
		_, err := session.Try(ctx, false, w...)
		is, err := worked(err)
		if err != nil {
			return nil, err
		}
		if is == want {
			out = append(out, w)
		}
	}
	return out, nil
}

// commit makes the writes, each with values of its own where they must differ.
func commit(ctx context.Context, s database.Shadow, writes [][]string) (made []string, err error) {
	session, err := s.App(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = session.Close(context.WithoutCancel(ctx)) }()
	for i, w := range writes[:min(len(writes), mostWrites)] {
		for _, attempt := range [][]string{salted(w, i), w} {
			_, err := session.Try(ctx, true, attempt...)
			done, err := worked(err)
			if err != nil {
				return nil, err
			}
			if done {
				made = append(made, shorten(attempt[len(attempt)-1]))
				break
			}
		}
	}
	return made, nil
}

// salted varies the usual values, so that several writes do not meet in a
// unique key.
func salted(statements []string, nth int) []string {
	out := make([]string, len(statements))
	for i, s := range statements {
		n := 10 * (nth + 1)
		out[i] = strings.NewReplacer("'1 shiplock", fmt.Sprintf("'%d shiplock", n), "'2 shiplock", fmt.Sprintf("'%d shiplock", n+1),
			"2100000007", fmt.Sprint(2100000007+n), "2100000009", fmt.Sprint(2100000009+n),
			"8000-000000000001'", fmt.Sprintf("8000-%012d'", n), "8000-000000000002'", fmt.Sprintf("8000-%012d'", n+1)).Replace(s)
	}
	return out
}

// candidates are writes of the old columns that a relaxed constraint may let
// through: NULL, the limits of the new type, duplicates, orphans, new labels.
func candidates(before, after []database.Table) [][]string {
	g := generator{tables: after}
	var all [][]string
	for _, old := range before {
		at := slices.IndexFunc(after, func(t database.Table) bool { return t.Name == old.Name })
		if at < 0 {
			continue
		}
		now := after[at]
		// A dropped CHECK does not show in the tables, so every one is tried.
		now.Columns = slices.DeleteFunc(slices.Clone(now.Columns), func(c database.Column) bool {
			return !slices.ContainsFunc(old.Columns, func(o database.Column) bool { return o.Name == c.Name })
		})
		all = append(all, g.relaxed(&old, &now)...)
	}
	return all
}

func (g generator) relaxed(old, now *database.Table) [][]string {
	var all [][]string
	base, setup := g.base(now), g.parents(now, 0)
	add := func(statements ...string) { all = append(all, append(slices.Clone(setup), statements...)) }
	for _, c := range now.Columns {
		for _, v := range variants(c) {
			if !c.Generated && base[c.Name] != v.value {
				add(insert(now, with(base, c.Name, v.value)))
			}
		}
	}
	for _, k := range old.Keys {
		gone := !slices.ContainsFunc(now.Keys, func(n database.Key) bool { return n.To == k.To && reflect.DeepEqual(n.Columns, k.Columns) })
		if !gone || k.To != "" || k.Partial {
			continue
		}
		// Two rows that differ in every key but the one that is gone.
		first := with(base, "", "")
		for _, name := range k.Columns {
			if at := slices.IndexFunc(now.Columns, func(c database.Column) bool { return c.Name == name }); at >= 0 && len(now.Columns[at].Usual) > 0 {
				first[name] = now.Columns[at].Usual[0]
			}
		}
		if second, ok := g.sibling(now, first, k.Columns); ok {
			add(insert(now, first), insert(now, second))
		}
	}
	return all
}
