package rewrite_test

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// keeper calls do with what copies aside and brings back.
func (w *world) keeper(do func(database.Trasher, database.Undropper) error) {
	w.t.Helper()
	db := w.database(w.db)
	lock, err := db.Lock(w.t.Context(), ship.Fence{Run: "d-1", Epoch: 1}, "test")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = lock.Release(context.Background()) }()
	if err := do(db.(database.Trasher), lock.(database.Undropper)); err != nil {
		w.t.Fatal(err)
	}
}

// aside copies what a migration drops, right before it.
func (w *world) aside(m ship.Migration) {
	w.t.Helper()
	all, err := sqltext.Split(m.SQL, w.dialect)
	if err != nil {
		w.t.Fatal(err)
	}
	var drops []ship.Drop
	for _, d := range sqltext.Drops(all, w.dialect) {
		drops = append(drops, ship.Drop{Migration: m.ID, Table: d.Table, Column: d.Column, Stays: d.Stays, Until: time.Now().Add(time.Hour)})
	}
	if len(drops) == 0 {
		return
	}
	w.keeper(func(_ database.Trasher, keeper database.Undropper) error {
		for _, d := range drops {
			for more := true; more; {
				var err error
				if more, err = keeper.CopyAside(w.t.Context(), d); err != nil {
					return err
				}
			}
		}
		return keeper.Do(w.t.Context(), ship.Work{Atomic: true, Aside: drops})
	})
}

// settle records that a migration is done, by which what it copied aside is
// known to be dropped.
func (w *world) settle(m ship.Migration) {
	w.t.Helper()
	w.keeper(func(_ database.Trasher, keeper database.Undropper) error {
		return keeper.Do(w.t.Context(), ship.Work{Atomic: true, Record: []ship.Record{
			{Migration: m.ID, Checksum: m.Checksum, Tool: "sqlfiles", Phase: ship.Contract, Status: ship.RecordDone, Run: "d-1", Epoch: 1},
		}})
	})
}

// values are the rows of each table, and the values of each column by key.
func (w *world) values(names []string) map[string][]string {
	w.t.Helper()
	out := map[string][]string{}
	for _, name := range names {
		table, column, _ := strings.Cut(name, ".")
		query := "SELECT * FROM " + table + " ORDER BY id"
		if column != "" {
			query = "SELECT id, " + column + " FROM " + table + " ORDER BY id"
		}
		rows, err := w.db.Rows(w.t.Context(), query)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, r := range rows {
			out[name] = append(out[name], strings.Join(r, " "))
		}
	}
	return out
}

// undrop brings back what the contract took away, and nothing else is there to
// be brought back. Then it goes for good, for the life to go on.
func (w *world) undrop(names []string, kept map[string][]string) {
	w.t.Helper()
	var back []string
	w.keeper(func(db database.Trasher, keeper database.Undropper) error {
		all, err := db.Trash(w.t.Context())
		for _, t := range all {
			name := strings.TrimPrefix(t.Name(), "public.")
			back = append(back, name)
			restore := w.makeRoom(keeper, t)
			if t, err = keeper.Undrop(w.t.Context(), t.ID, "ann", nil, func(string) {}); err != nil {
				return err
			}
			w.cameBack(t, name, kept[name])
			restore()
		}
		return err
	})
	slices.Sort(back)
	if !slices.Equal(back, names) {
		w.t.Errorf("the contract copied %q aside, want %q", back, names)
	}
}

// makeRoom takes the name of what comes back from what has it now, and returns
// what gives it back. Somebody who wants both has to do so, too.
func (w *world) makeRoom(keeper database.Undropper, t database.Trashed) (restore func()) {
	w.t.Helper()
	if t.Column == "" {
		return func() { w.db.Exec("DROP TABLE " + t.Table) }
	}
	alter := "ALTER TABLE " + t.Table + " "
	drop := alter + "DROP COLUMN " + t.Column
	if w.dialect == sqltext.SQLite { // those that keep the two in step came back with it
		return func() {
			rows, err := w.db.Rows(w.t.Context(), "SELECT name FROM sqlite_schema WHERE type = 'trigger'")
			if err != nil {
				w.t.Fatal(err)
			}
			for _, r := range rows {
				w.db.Exec("DROP TRIGGER " + r[0])
			}
			w.db.Exec("SELECT "+t.Column+" FROM "+t.Table+" LIMIT 0", drop) // a query notices that the schema is another one
		}
	}
	if _, err := w.db.Rows(w.t.Context(), "SELECT "+t.Column+" FROM "+t.Table+" LIMIT 1"); err != nil {
		return func() { w.db.Exec(drop) }
	}
	if _, err := keeper.Undrop(w.t.Context(), t.ID, "ann", nil, func(string) {}); ship.KindOf(err) != ship.Refused || !strings.Contains(ship.HintOf(err), "rename what is there now") {
		w.t.Errorf("%s is there again, and undrop says %v", t.Name(), err)
	}
	w.db.Exec(alter + "RENAME COLUMN " + t.Column + " TO at_present")
	return func() { w.db.Exec(drop, alter+"RENAME COLUMN at_present TO "+t.Column) }
}

// cameBack compares with what was there. Rows that were written since are there, too.
func (w *world) cameBack(t database.Trashed, name string, want []string) {
	w.t.Helper()
	now := w.values([]string{name})[name]
	missing := slices.DeleteFunc(slices.Clone(want), func(row string) bool { return slices.Contains(now, row) })
	if len(want) == 0 || len(missing) > 0 || t.Status != database.TrashBack || len(now) < len(want) {
		w.t.Errorf("%d of %d rows of %s are not as they were, the first is %q; undrop says %s %q", len(missing), len(want), name, slices.Concat(missing, []string{""})[0], t.Status, t.Notes)
	}
}
