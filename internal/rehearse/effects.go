package rehearse

import (
	"maps"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

// whole is what a database calls the effect of all that a tool did.
const whole = "all of it"

// finish leaves out what the tool did for its own records, and adds how long
// locks were held and would be with the rows of production.
func (r *rehearsal) finish(m ship.Migration, effects []ship.Effect) []ship.Effect {
	out := []ship.Effect{}
	r.others(effects)
	if m.Atomic {
		taken(effects)
	}
	recorder, ok := r.Tool.(migrate.Recorder)
	exact := ok && recorder.Records() && m.SQL != ""
	for _, e := range effects {
		if exact && e.Statement != whole && !strings.Contains(m.SQL, strings.TrimSpace(e.Statement)) {
			continue
		}
		e.Statement = shorten(e.Statement)
		out = append(out, e)
	}
	hold(out, m.Atomic)
	for i := range out {
		out[i].ProjectedMS = r.project(out[i])
	}
	return out
}

// others leaves out what is done to tables that are new: nobody waits for them.
func (r *rehearsal) others(effects []ship.Effect) {
	known := map[string]bool{}
	for _, t := range r.tables {
		known[t.Name] = true
	}
	foreign := func(name string) bool { return !known[name] && !strings.HasPrefix(name, "(") }
	for i := range effects {
		e := &effects[i]
		e.Locks = slices.DeleteFunc(e.Locks, func(l ship.TableLock) bool { return foreign(l.Table) })
		e.Rewritten = slices.DeleteFunc(e.Rewritten, foreign)
		maps.DeleteFunc(e.Scanned, func(name string, _ int64) bool { return foreign(name) })
		maps.DeleteFunc(e.Written, func(name string, _ int64) bool { return foreign(name) })
	}
}

// taken leaves the locks to the statement of a transaction that took them.
func taken(effects []ship.Effect) {
	held := map[ship.TableLock]bool{}
	for i := range effects {
		e := &effects[i]
		if e.Statement == whole {
			continue
		}
		e.Locks = slices.DeleteFunc(e.Locks, func(l ship.TableLock) bool { return held[l] && !strings.HasPrefix(l.Table, "(") })
		for _, l := range e.Locks {
			held[l] = true
		}
	}
}

// hold adds up how long the locks of each statement are held: to the end of
// the transaction where there is one.
func hold(effects []ship.Effect, atomic bool) {
	total := 0.0
	for i := len(effects) - 1; i >= 0; i-- {
		e := &effects[i]
		if e.Statement == whole {
			continue
		}
		total += e.TookMS
		e.HeldMS = e.TookMS
		if atomic {
			e.HeldMS = total
		}
	}
	for i := range effects {
		if e := &effects[i]; e.Statement == whole && len(effects) > 1 {
			e.HeldMS = total
		}
	}
}

// project multiplies by the largest ratio of rows among the tables the
// statement worked on. One that touched the catalog only takes as long there.
func (r *rehearsal) project(e ship.Effect) float64 {
	ratio := 0.0
	for _, t := range r.tables {
		there, named := r.rowsOf(t.Name)
		_, scanned := e.Scanned[t.Name]
		_, written := e.Written[t.Name]
		worked := scanned || written
		for _, name := range e.Rewritten {
			worked = worked || name == t.Name
		}
		if named && worked && t.Rows > 0 {
			ratio = max(ratio, float64(there)/float64(t.Rows))
		}
	}
	return e.HeldMS * ratio
}

// rowsOf finds a table by its whole name or without its schema.
func (r *rehearsal) rowsOf(table string) (int64, bool) {
	if n, ok := r.Rows[table]; ok {
		return n, true
	}
	_, short, _ := strings.Cut(table, ".")
	n, ok := r.Rows[short]
	return n, ok
}
