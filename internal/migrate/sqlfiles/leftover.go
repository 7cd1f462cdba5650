package sqlfiles

import (
	"context"
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/sqltext"
)

// lookForIndex looks for the index that a statement builds or drops. One that
// it names may be there and not be valid; of one that it does not name only
// those that are not valid are known to be its own.
func (j *job) lookForIndex(ctx context.Context, h sqltext.Head) (trace, []string, error) {
	name, ok := index(h)
	if !ok && h.Verb == "CREATE" && h.On != "" && len(h.Names) == 0 {
		return j.lookForUnnamed(ctx, h)
	}
	if !ok {
		return unclear, nil, nil
	}
	rows, err := j.project.Session.Rows(ctx,
		"SELECT CASE WHEN indisvalid AND indisready THEN 'valid' ELSE 'invalid' END FROM pg_index WHERE indexrelid = to_regclass("+literal(name)+")")
	if err != nil {
		return unclear, nil, fmt.Errorf("look for the index %s: %w", name, err)
	}
	switch {
	case h.Verb == "DROP" && len(rows) == 0:
		return present, nil, nil
	case h.Verb == "DROP", len(rows) == 0:
		return absent, nil, nil // dropping again is what finishes a half-done drop
	case rows[0][0] == "valid":
		return present, nil, nil
	}
	return broken, []string{dropIndex(name)}, nil
}

func dropIndex(quoted string) string { return "DROP INDEX CONCURRENTLY IF EXISTS " + quoted }

// lookForUnnamed looks for an index to which the server gave the name. Nobody
// builds another one of the table meanwhile: that would be to be seen.
func (j *job) lookForUnnamed(ctx context.Context, h sqltext.Head) (trace, []string, error) {
	table := h.On[strings.LastIndex(h.On, ".")+1:]
	return j.lookForInvalid(ctx, "i.indrelid = to_regclass("+literal(sanitized(h.On))+") AND starts_with(c.relname, left("+literal(table+"_")+", 20)) AND c.relname ~ '_idx[0-9]*$'", unclear)
}

// lookForCopies looks for the copies of indexes that a REINDEX CONCURRENTLY
// which failed leaves behind. Without them it is done again.
func (j *job) lookForCopies(ctx context.Context, h sqltext.Head) (trace, []string, error) {
	of := "true"
	if len(h.Names) == 1 {
		name := literal(sanitized(h.Names[0]))
		switch h.Object {
		case "INDEX":
			of = "i.indrelid = (SELECT o.indrelid FROM pg_index o WHERE o.indexrelid = to_regclass(" + name + "))"
		case "TABLE":
			of = "i.indrelid = to_regclass(" + name + ")"
		case "SCHEMA":
			of = "n.nspname = " + literal(h.Names[0])
		}
	}
	return j.lookForInvalid(ctx, of+` AND c.relname ~ '_cc(new|old)[0-9]*$'`, absent)
}

// lookForInvalid looks for invalid indexes that nobody is building; otherwise
// says what it means that there are none.
func (j *job) lookForInvalid(ctx context.Context, where string, otherwise trace) (trace, []string, error) {
	rows, err := j.project.Session.Rows(ctx, `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_index i
		JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname <> 'pg_toast'
		AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.relation = i.indrelid AND l.mode = 'ShareUpdateExclusiveLock' AND l.pid <> pg_backend_pid()) AND `+where+" ORDER BY 1")
	if err != nil {
		return unclear, nil, fmt.Errorf("look for invalid indexes: %w", err)
	}
	var mend []string
	for _, row := range rows {
		mend = append(mend, dropIndex(row[0]))
	}
	if len(mend) == 0 {
		return otherwise, nil, nil
	}
	return broken, mend, nil
}

// lookForPartition looks how far a DETACH PARTITION CONCURRENTLY came. Once its
// first transaction is committed the server takes nothing but FINALIZE.
func (j *job) lookForPartition(ctx context.Context, table, partition string) (trace, []string, error) {
	rows, err := j.project.Session.Rows(ctx, "SELECT inhdetachpending::text FROM pg_inherits WHERE inhparent = to_regclass("+literal(sanitized(table))+
		") AND inhrelid = to_regclass("+literal(sanitized(partition))+")")
	switch {
	case err != nil:
		return unclear, nil, fmt.Errorf("look for the partition %s: %w", partition, err)
	case len(rows) == 0:
		return present, nil, nil
	case rows[0][0] == "true":
		return halfway, []string{fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE", sanitized(table), sanitized(partition))}, nil
	}
	return absent, nil, nil
}

// index returns the quoted name of the one index a statement is about. It is
// in the schema of its table.
func index(h sqltext.Head) (string, bool) {
	if len(h.Names) != 1 {
		return "", false
	}
	name := h.Names[0]
	if schema, _, ok := strings.Cut(h.On, "."); ok && h.Verb == "CREATE" && !strings.Contains(name, ".") {
		name = schema + "." + name
	}
	return sanitized(name), true
}

// sanitized quotes each part of a name.
func sanitized(name string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		parts[i] = `"` + strings.ReplaceAll(p, `"`, `""`) + `"`
	}
	return strings.Join(parts, ".")
}
