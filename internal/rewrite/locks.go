package rewrite

import (
	"slices"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// Locks are what a migration waits for others for.
type Locks struct {
	Tables    []string // that exist or not, without "public."
	Snapshots bool     // it waits until every older transaction of the database has ended
	Known     bool     // its text was there and could be read
}

// ReadLocks reads which tables a migration locks in a way that keeps others
// off.
func ReadLocks(text string, d sqltext.Dialect) Locks {
	all, err := sqltext.Split(text, d)
	if err != nil || len(all) == 0 {
		return Locks{}
	}
	out := Locks{Known: true}
	add := func(table string) {
		if table = lint.Plain(table); table != "" && !slices.Contains(out.Tables, table) {
			out.Tables = append(out.Tables, table)
		}
	}
	for _, st := range all {
		t := st.Tree(d)
		if t.Verb == "DO" || t.Unread != "" {
			out.Known = false
		}
		out.Snapshots = out.Snapshots || t.Concurrently
		add(t.On)
		for i := range t.Parts {
			add(t.Parts[i].Constraint.References)
			add(t.Parts[i].Def.References)
		}
		if t.Object == "TABLE" || t.Verb == "TRUNCATE" || t.Verb == "LOCK" {
			for _, name := range t.Names {
				add(name)
			}
		}
	}
	return out
}
