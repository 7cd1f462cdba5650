package rewrite

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

var (
	createIndex = regexp.MustCompile(`(?is)^(create\s+(?:unique\s+)?index)\s+(?:concurrently\s+)?(?:if\s+not\s+exists\s+)?(.*)$`)
	dropIndex   = regexp.MustCompile(`(?is)^drop\s+index\s+(?:concurrently\s+)?(.*)$`)
)

// Index builds an index beside the traffic. New says that no running release
// can repeat a value in it, since all its columns are new.
func (c Context) Index(t *sqltext.Tree, isNew bool) (Plan, *Refusal) {
	var p Plan
	table := lint.Plain(t.On)
	if known := c.table(table); known != nil && known.Partitioned {
		return p, &Refusal{
			Reason: fmt.Sprintf("%s is partitioned, and PostgreSQL builds no index CONCURRENTLY on a partitioned table", table),
			ByHand: "CREATE INDEX … ON ONLY the table, CREATE INDEX CONCURRENTLY on each partition, ALTER INDEX … ATTACH PARTITION each",
		}
	}
	phase, reason := ship.Expand, "the index is built while reads and writes go on"
	m := createIndex.FindStringSubmatch(t.SQL)
	if m == nil {
		return p, &Refusal{Reason: "its form is not known", ByHand: "write it with CONCURRENTLY, in a file that runs outside of a transaction"}
	}
	own, rest := lint.IndexName(t), m[2]
	if len(t.Names) > 0 {
		own = last(t.Names[0])
	} else {
		rest = lint.Quote(own) + " " + rest
	}
	if t.Unique && !isNew {
		phase, reason = ship.Contract, "the index is built while reads and writes go on; no release that runs repeats a value"
	}
	p.add(Step{
		Name: own, Phase: phase, Reason: reason, Alone: true,
		Up:   []string{m[1] + " CONCURRENTLY " + rest},
		Down: []string{"DROP INDEX CONCURRENTLY IF EXISTS " + lint.Quote(beside(table, own))},
	})
	return p, nil
}

// DropIndex removes indexes without keeping anybody off their table.
func (c Context) DropIndex(t *sqltext.Tree) Plan {
	var p Plan
	m := dropIndex.FindStringSubmatch(t.SQL)
	if m == nil || len(t.Names) != 1 {
		return p
	}
	s := Step{
		Name: name("drop", last(t.Names[0])), Phase: ship.Contract, Reason: "no statement needs the index any more", Alone: true,
		Up: []string{"DROP INDEX CONCURRENTLY " + m[1]}, WhyNot: "what the index was is not known here: name the schema with --base or --schema",
	}
	if i := c.index(t.Names[0]); i != nil && i.Text != "" {
		if made := createIndex.FindStringSubmatch(strings.TrimSuffix(i.Text, ";")); made != nil {
			s.Down, s.WhyNot = []string{made[1] + " CONCURRENTLY " + made[2]}, ""
		}
	}
	p.add(s)
	return p
}

func (c Context) index(name string) *lint.Index {
	if c.Schema == nil {
		return nil
	}
	return c.Schema.Index(name)
}
