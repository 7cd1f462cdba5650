package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A measured is a case with what happened, and with what was said of it.
type measured struct {
	sql     string
	failed  string            // the statement's own error
	locks   map[string]string // table that was there: heaviest mode
	rewrite []string          // tables
	scan    []string          // tables read whole, or whose index was built
	written []string          // tables most rows of which were changed
	broken  []string          // probes of the old release that fail

	says   verdict
	squawk verdict
}

// A verdict is what a linter says of a case.
type verdict struct {
	blocks bool
	rules  []string
	locks  map[string]string
	work   bool // it names a scan, a rewrite or the building of an index
}

// hurts tells whether a case is a hazard: the old release fails, or a table is
// read or written whole while somebody is kept waiting, or the statement fails.
// It goes by a server and an application that are small: what merely might
// break one, such as a trigger, shows as harmless.
func (m *measured) hurts() bool {
	if len(m.broken) > 0 || m.failed != "" || len(m.written) > 0 {
		return true
	}
	for _, t := range append(slices.Clone(m.rewrite), m.scan...) {
		if weight(m.locks[t]) >= weight("ShareLock") {
			return true
		}
	}
	return false
}

func modes() []string {
	return []string{"AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}
}

func weight(mode string) int { return slices.Index(modes(), mode) + 1 }

func measureAll(ctx context.Context, url string, list []string) ([]*measured, int, error) {
	admin, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, 0, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = admin.Close(ctx) }()
	var version int
	if err := admin.QueryRow(ctx, "SELECT current_setting('server_version_num')::int / 10000").Scan(&version); err != nil {
		return nil, 0, err
	}
	if _, err := admin.Exec(ctx, "DROP DATABASE IF EXISTS lint_base"); err != nil {
		return nil, 0, err
	}
	if _, err := admin.Exec(ctx, "CREATE DATABASE lint_base"); err != nil {
		return nil, 0, err
	}
	_, _ = admin.Exec(ctx, "DROP ROLE IF EXISTS bench_app") // left by a run that was broken off
	if err := fillBase(ctx, url); err != nil {
		return nil, 0, err
	}
	all, err := measureList(ctx, admin, url, list)
	if err != nil {
		return nil, 0, err
	}
	if err = drop(ctx, admin, "lint_base"); err == nil {
		_, err = admin.Exec(ctx, "DROP ROLE bench_app")
	}
	return all, version, err
}

func fillBase(ctx context.Context, url string) error {
	conn, err := open(ctx, url, "lint_base")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, read("base.sql")); err != nil {
		return fmt.Errorf("fill the base: %w", err)
	}
	_, err = conn.Exec(ctx, "ANALYZE")
	return err
}

func open(ctx context.Context, url, database string) (*pgx.Conn, error) {
	c, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	c.Database = database
	return pgx.ConnectConfig(ctx, c)
}

// measureList takes back what can be, and gives the others a database each.
func measureList(ctx context.Context, admin *pgx.Conn, url string, list []string) ([]*measured, error) {
	conn, err := open(ctx, url, "lint_base")
	if err != nil {
		return nil, err
	}
	probes, err := makeProbes(ctx, conn)
	if err != nil {
		return nil, err
	}
	always, err := broken(ctx, conn, probes)
	if err != nil {
		return nil, err
	}
	if len(always) > 0 {
		return nil, fmt.Errorf("probes fail before anything is changed: %s", strings.Join(always, "; "))
	}
	all := make([]*measured, len(list))
	for i, sql := range list {
		if alone(sql) {
			continue
		}
		if all[i], err = within(ctx, conn, sql, probes); err != nil {
			return nil, fmt.Errorf("%s: %w", sql, err)
		}
	}
	if err := conn.Close(ctx); err != nil { // or it could not be copied
		return nil, err
	}
	for i, sql := range list {
		if !alone(sql) {
			continue
		}
		if all[i], err = apart(ctx, admin, url, sql, probes); err != nil {
			return nil, fmt.Errorf("%s: %w", sql, err)
		}
	}
	return all, nil
}

// alone tells whether a statement does not run within a transaction.
func alone(sql string) bool {
	return strings.Contains(sql, "CONCURRENTLY") || strings.HasPrefix(sql, "VACUUM") || strings.HasPrefix(sql, "ALTER TYPE mood ADD")
}

// within carries a case out in a transaction that is taken back.
func within(ctx context.Context, conn *pgx.Conn, sql string, probes []string) (*measured, error) {
	m := &measured{sql: sql, locks: map[string]string{}}
	before, err := state(ctx, conn)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "BEGIN"); err != nil {
		return nil, err
	}
	counted, err := counts(ctx, conn) // of what went before, not handed over yet
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, sql); err != nil {
		m.failed = short(err)
	} else {
		if err := m.look(ctx, conn, before, counted); err != nil {
			return nil, err
		}
		if err := m.rewrites(ctx, conn, before); err != nil {
			return nil, err
		}
		if m.broken, err = broken(ctx, conn, probes); err != nil {
			return nil, err
		}
	}
	_, err = conn.Exec(ctx, "ROLLBACK")
	return m, err
}

// apart carries a case out in a database of its own. Nobody can look at its
// locks from inside.
func apart(ctx context.Context, admin *pgx.Conn, url, sql string, probes []string) (*measured, error) {
	if _, err := admin.Exec(ctx, "CREATE DATABASE lint_case TEMPLATE lint_base"); err != nil {
		return nil, err
	}
	conn, err := open(ctx, url, "lint_case")
	if err != nil {
		return nil, err
	}
	m := &measured{sql: sql}
	before, err := state(ctx, conn)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, sql); err != nil {
		m.failed = short(err)
	} else {
		if err := m.rewrites(ctx, conn, before); err != nil {
			return nil, err
		}
		if m.broken, err = broken(ctx, conn, probes); err != nil {
			return nil, err
		}
	}
	if strings.HasPrefix(sql, "VACUUM FULL") { // what it holds is in its manual
		m.locks = map[string]string{"sale": "AccessExclusiveLock"}
	}
	_ = conn.Close(ctx)
	return m, drop(ctx, admin, "lint_case")
}

// drop ends who is still in a database and drops it, on servers before 13 too.
func drop(ctx context.Context, admin *pgx.Conn, name string) error {
	if _, err := admin.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name); err != nil {
		return err
	}
	_, err := admin.Exec(ctx, "DROP DATABASE "+name)
	return err
}

// rewrites notes the tables that have another file than before.
func (m *measured) rewrites(ctx context.Context, conn *pgx.Conn, before map[uint32]relation) error {
	after, err := state(ctx, conn)
	for t, b := range before {
		if a, ok := after[t]; ok && a.file != b.file {
			m.rewrite = append(m.rewrite, b.name)
		}
	}
	slices.Sort(m.rewrite)
	return err
}

func short(err error) string {
	if pg, ok := err.(*pgconn.PgError); ok { //nolint:errorlint // it comes straight from the driver
		return pg.Code + " " + pg.Message
	}
	return err.Error()
}

type relation struct {
	oid, file uint32
	name      string
}

// state returns the tables of users.
func state(ctx context.Context, conn *pgx.Conn) (map[uint32]relation, error) {
	rows, err := conn.Query(ctx, "SELECT oid, coalesce(pg_relation_filenode(oid), 0)::oid, relname FROM pg_class WHERE relkind IN ('r', 'm', 'p', 'v') AND relnamespace = 'public'::regnamespace")
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r relation, err error) {
		err = row.Scan(&r.oid, &r.file, &r.name)
		return r, err
	})
	all := map[uint32]relation{}
	for _, r := range list {
		all[r.oid] = r
	}
	return all, err
}

// look reads locks and scans of the open transaction.
func (m *measured) look(ctx context.Context, conn *pgx.Conn, before map[uint32]relation, counted map[uint32]count) error {
	rows, err := conn.Query(ctx, `SELECT l.relation, l.mode, coalesce(i.indrelid, 0)::oid FROM pg_locks l LEFT JOIN pg_index i ON i.indexrelid = l.relation
		WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted`)
	if err != nil {
		return err
	}
	type held struct {
		oid, table uint32
		mode       string
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h held, err error) {
		err = row.Scan(&h.oid, &h.mode, &h.table)
		return h, err
	})
	if err != nil {
		return err
	}
	for _, h := range list {
		if r, ok := before[h.oid]; ok && weight(h.mode) > weight("RowShareLock") && weight(h.mode) > weight(m.locks[r.name]) {
			m.locks[r.name] = h.mode
		}
	}
	now, err := counts(ctx, conn)
	for oid, n := range now {
		r, ok := before[oid]
		if ok && n.read-counted[oid].read >= 50 {
			m.scan = append(m.scan, r.name)
		}
		if ok && n.written-counted[oid].written >= 50 {
			m.written = append(m.written, r.name)
		}
	}
	slices.Sort(m.scan)
	return err
}

// A count is what was read by scans of a table, and changed in it.
type count struct{ read, written int64 }

func counts(ctx context.Context, conn *pgx.Conn) (map[uint32]count, error) {
	rows, err := conn.Query(ctx, "SELECT relid, coalesce(seq_tup_read, 0), n_tup_upd + n_tup_del FROM pg_stat_xact_user_tables")
	if err != nil {
		return nil, err
	}
	all := map[uint32]count{}
	var oid uint32
	var c count
	_, err = pgx.ForEachRow(rows, []any{&oid, &c.read, &c.written}, func() error {
		all[oid] = c
		return nil
	})
	return all, err
}
