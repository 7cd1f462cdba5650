package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
)

var (
	createIndex = regexp.MustCompile(`(?i)^(create\s+(?:unique\s+)?index)\s+`)
	notExists   = regexp.MustCompile(`(?i)if\s+not\s+exists\s+`)
)

// concurrently writes CREATE INDEX as CREATE INDEX CONCURRENTLY.
func concurrently(o *lint.Op) string {
	sql := notExists.ReplaceAllString(o.SQL, "")
	return createIndex.ReplaceAllString(sql, "$1 CONCURRENTLY ") + "; -- outside of a transaction"
}

func ifNotExists(sql string) string { return notExists.FindString(sql) }

// outside says how the statement leaves its transaction.
func outside(o *lint.Op) string {
	if o.Tx.Explicit {
		return "-- before BEGIN or after COMMIT:"
	}
	return "-- in a file of its own that its tool runs outside of a transaction (goose: -- +goose NO TRANSACTION; dbmate: -- migrate:up transaction:false;\n" +
		"-- Django: atomic = False; Alembic: with op.get_context().autocommit_block(); Flyway: executeInTransaction=false):"
}

func partitioned(o *lint.Op) bool {
	t := o.Schema.Table(o.Table)
	return t != nil && t.Partitioned
}

// partitions are locks on all known partitions of the table.
func partitions(o *lint.Op, mode string) []lint.Lock {
	var all []lint.Lock
	for _, name := range o.Schema.Partitions(o.Table) {
		all = append(all, known(o, name, mode)...)
	}
	return all
}

// perPartition builds the index partition by partition.
func perPartition(o *lint.Op) string {
	name := orElse(o.Name(), lint.IndexName(o.Tree))
	columns := lint.Quotes(o.KeyColumns)
	kind := "INDEX"
	if o.Unique {
		kind = "UNIQUE INDEX"
	}
	steps := []string{fmt.Sprintf("CREATE %s %s ON ONLY %s (%s);", kind, lint.Quote(name), lint.Quote(o.Table), columns)}
	names := o.Schema.Partitions(o.Table)
	if len(names) == 0 {
		names = []string{"…"}
	}
	for _, p := range names {
		own := p + "_" + strings.Join(o.KeyColumns, "_") + "_idx"
		steps = append(steps,
			fmt.Sprintf("CREATE %s CONCURRENTLY %s ON %s (%s); -- outside of a transaction", kind, lint.Quote(own), lint.Quote(p), columns),
			fmt.Sprintf("ALTER INDEX %s ATTACH PARTITION %s;", lint.Quote(name), lint.Quote(own)))
	}
	return lines(steps...)
}

// defaultPartition is the lock on the DEFAULT partition of a table, if it is
// known to have one.
func defaultPartition(o *lint.Op, parent string) []lint.Lock {
	for _, name := range o.Schema.Partitions(parent) {
		if strings.HasSuffix(name, "default") {
			return known(o, name, lint.AccessExclusive)
		}
	}
	return nil
}

var bound = regexp.MustCompile(`(?is)\b(for\s+values\s+.*|default)\s*$`)

// attachSteps make a partition beside its parent and attach it.
func attachSteps(o *lint.Op, parent, child string) string {
	how := bound.FindString(o.SQL)
	p, c := lint.Quote(parent), lint.Quote(child)
	return lines(
		fmt.Sprintf("CREATE TABLE %s (LIKE %s INCLUDING ALL);", c, p),
		fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s CHECK (…); -- what the bound says", c, lint.Quote(last(child)+"_bound")),
		fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s %s;", p, c, orElse(how, "FOR VALUES …")),
	)
}

// references names the tables that exist and that a new table points to.
func references(o *lint.Op) []string {
	var all []string
	for i := range o.Parts {
		for _, to := range []string{o.Parts[i].Def.References, o.Parts[i].Constraint.References} {
			to = lint.Plain(to)
			if to != "" && to != o.Name() && o.Known(to) && !slices.Contains(all, to) {
				all = append(all, to)
			}
		}
	}
	return all
}

// unique leaves out locks that are there already.
func unique(locks []lint.Lock) []lint.Lock {
	var all []lint.Lock
	for _, l := range locks {
		if !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	return all
}

// checked tells whether a table has a valid CHECK, which may prove a bound.
func checked(t *lint.Table) bool {
	for _, k := range t.Constraints {
		if k.Kind == "CHECK" && k.Valid {
			return true
		}
	}
	return false
}
