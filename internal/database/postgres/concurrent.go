package postgres

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/ship"
)

// lexeme matches what must be skipped or kept whole when looking for words in
// SQL: comments, string constants, quoted names, words.
var lexeme = regexp.MustCompile(`(?s)--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|"((?:[^"]|"")+)"|([A-Za-z_\x80-\x{10FFFF}][\w$\x80-\x{10FFFF}]*)`)

// words returns the words and names in a statement, as the server folds them.
func words(statement string) []string {
	var out []string
	for _, m := range lexeme.FindAllStringSubmatch(statement, -1) {
		switch {
		case m[1] != "":
			out = append(out, strings.ReplaceAll(m[1], `""`, `"`))
		case m[2] != "":
			out = append(out, strings.ToLower(m[2]))
		}
	}
	return out
}

// isConcurrent tells whether a statement is one that waits for old
// transactions to end, which a lock_timeout would make fail.
func isConcurrent(statement string) bool {
	all := words(statement)
	if len(all) < 2 || !slices.Contains(all, "concurrently") {
		return false
	}
	switch all[0] {
	case "create", "drop":
		return slices.Contains(all[1:min(3, len(all))], "index")
	case "reindex", "refresh":
		return true
	case "alter":
		return slices.Contains(all, "detach")
	}
	return false
}

// concurrently runs a statement without a time-out for locks and looks at the
// indexes it leaves: a failed build leaves an invalid one, which IF NOT EXISTS
// then takes for the real one.
func (l *lock) concurrently(ctx context.Context, conn *pgx.Conn, statement string) error {
	if _, err := conn.Exec(ctx, "SET lock_timeout = 0"); err != nil {
		return fmt.Errorf("lift the limit of waiting for locks: %w", err)
	}
	before, err := invalidIndexes(ctx, conn)
	if err != nil {
		return err
	}
	failed := failure(l.run(ctx, conn, statement), statement, 0)
	if conn.IsClosed() {
		return failed
	}
	clean, cancel := cleanup(ctx)
	defer cancel()
	after, err := invalidIndexes(clean, conn)
	if err != nil {
		if failed != nil {
			return failed
		}
		return err
	}
	left := leftInvalid(before, after, words(statement))
	switch {
	case left == nil:
		return failed
	case failed != nil:
		return ship.Errorf(ship.MigrationFailed, left.remedy(), "%w; it left the invalid index %s", failed, left.name)
	default:
		return ship.Errorf(ship.MigrationFailed, left.remedy(), "index %s is invalid: an earlier build of it failed, and the statement kept it", left.name)
	}
}

// An index is one that is not valid.
type index struct {
	oid   uint32
	name  string // qualified and quoted
	bare  string
	table string
}

func (i *index) remedy() string {
	return "DROP INDEX CONCURRENTLY " + i.name + "; then run the migration again"
}

func invalidIndexes(ctx context.Context, conn *pgx.Conn) ([]index, error) {
	rows, err := conn.Query(ctx, `SELECT c.oid, format('%I.%I', n.nspname, c.relname), c.relname::text, t.relname::text
		FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT i.indisvalid AND c.relkind = 'i'`)
	if err != nil {
		return nil, fmt.Errorf("look for invalid indexes: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (i index, err error) {
		return i, row.Scan(&i.oid, &i.name, &i.bare, &i.table)
	})
	if err != nil {
		return nil, fmt.Errorf("look for invalid indexes: %w", err)
	}
	return found, nil
}

// leftInvalid returns an invalid index that a statement with these words names,
// or that has appeared on a table it names.
func leftInvalid(before, after []index, names []string) *index {
	for i := range after {
		found := &after[i]
		known := slices.ContainsFunc(before, func(b index) bool { return b.oid == found.oid })
		original, _, _ := strings.Cut(found.bare, "_cc") // REINDEX builds a copy
		if slices.Contains(names, found.bare) || !known && (slices.Contains(names, found.table) || slices.Contains(names, original)) {
			return found
		}
	}
	return nil
}
