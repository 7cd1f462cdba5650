package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// modes are the locks of tables that keep somebody waiting, lightest first, as
// pg_locks names them.
var modes = []string{
	"RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
}

// spoken returns the words of a mode as SQL has them.
func spoken(mode string) string {
	var b strings.Builder
	for i, r := range strings.TrimSuffix(mode, "Lock") {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

// userTables restricts pg_class c to tables of users.
const userTables = `c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', '_shiplock', '_shiplock_trash') AND n.nspname NOT LIKE 'pg\_%'`

// A relation is a table as it was at a moment.
type relation struct {
	name string
	file uint32
}

// relations returns the tables of users, by oid.
func relations(ctx context.Context, conn *pgx.Conn) (map[uint32]relation, error) {
	rows, err := conn.Query(ctx, `SELECT c.oid, format('%I.%I', n.nspname, c.relname), coalesce(pg_relation_filenode(c.oid), 0)::oid
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE `+userTables)
	if err != nil {
		return nil, err
	}
	all := map[uint32]relation{}
	var oid uint32
	var r relation
	_, err = pgx.ForEachRow(rows, []any{&oid, &r.name, &r.file}, func() error {
		all[oid] = r
		return nil
	})
	return all, err
}

// rowCounts are what was read by scans of a table, and changed in it.
type rowCounts struct{ read, written int64 }

// counters reads the rows counted in the transaction under way, or of all that
// ended when there is none.
func counters(ctx context.Context, conn *pgx.Conn) (map[uint32]rowCounts, error) {
	view := "pg_stat_xact_user_tables"
	if conn.PgConn().TxStatus() == 'I' {
		view = "pg_stat_user_tables"
	}
	rows, err := conn.Query(ctx, "SELECT relid, coalesce(seq_tup_read, 0), n_tup_ins + n_tup_upd + n_tup_del FROM "+view)
	if err != nil {
		return nil, err
	}
	all := map[uint32]rowCounts{}
	var oid uint32
	var c rowCounts
	_, err = pgx.ForEachRow(rows, []any{&oid, &c.read, &c.written}, func() error {
		all[oid] = c
		return nil
	})
	return all, err
}

// A moment is the state a statement found.
type moment struct {
	at     time.Time
	tables map[uint32]relation
	counts map[uint32]rowCounts
	wal    int64
}

func look(ctx context.Context, conn *pgx.Conn) (*moment, error) {
	m := &moment{}
	var err error
	if m.tables, err = relations(ctx, conn); err != nil {
		return nil, err
	}
	if m.counts, err = counters(ctx, conn); err != nil {
		return nil, err
	}
	// The position of what was inserted, not of what was written to the disk yet.
	err = conn.QueryRow(ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").Scan(&m.wal)
	m.at = time.Now()
	return m, err
}

// effect tells what happened between two moments.
func (m *moment) effect(after *moment, statement string, took time.Duration) ship.Effect {
	e := ship.Effect{Statement: statement, TookMS: millis(took), WAL: max(after.wal-m.wal, 0)}
	for oid, was := range m.tables {
		is, there := after.tables[oid]
		if there && is.file != was.file {
			e.Rewritten = append(e.Rewritten, was.name)
		}
		now, before := after.counts[oid], m.counts[oid]
		e.Scanned = count(e.Scanned, was.name, now.read-before.read)
		e.Written = count(e.Written, was.name, now.written-before.written)
	}
	slices.Sort(e.Rewritten)
	return e
}

func count(all map[string]int64, table string, n int64) map[string]int64 {
	if n <= 0 {
		return all
	}
	if all == nil {
		all = map[string]int64{}
	}
	all[table] = n
	return all
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// A gauge measures each statement the lock runs. A nil one measures nothing.
type gauge struct {
	watch *watching
	mu    sync.Mutex
	done  []ship.Effect
}

// before returns nil when nothing is measured.
func (g *gauge) before(ctx context.Context, conn *pgx.Conn) *moment {
	if g == nil {
		return nil
	}
	m, err := look(ctx, conn)
	if err != nil {
		return nil // a transaction that is broken tells so itself
	}
	g.watch.forget()
	m.at = time.Now()
	return m
}

func (g *gauge) after(ctx context.Context, conn *pgx.Conn, begun *moment, statement string) error {
	if g == nil || begun == nil {
		return nil
	}
	took := time.Since(begun.at)
	now, err := look(ctx, conn)
	if err != nil {
		return fmt.Errorf("measure a statement: %w", err)
	}
	e := begun.effect(now, statement, took)
	if conn.PgConn().TxStatus() == 'T' {
		e.Locks, err = held(ctx, conn, begun.tables)
	} else {
		e.Locks, e.Sampled = g.watch.seenSince(begun.tables), true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.done = append(g.done, e)
	return err
}

// held returns the heaviest lock of our own session on each table.
func held(ctx context.Context, conn *pgx.Conn, tables map[uint32]relation) ([]ship.TableLock, error) {
	rows, err := conn.Query(ctx, "SELECT relation, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted")
	if err != nil {
		return nil, err
	}
	heaviest, err := collect(rows)
	return named(heaviest, tables), err
}

func collect(rows pgx.Rows) (map[uint32]string, error) {
	heaviest := map[uint32]string{}
	var oid uint32
	var mode string
	_, err := pgx.ForEachRow(rows, []any{&oid, &mode}, func() error {
		heavier(heaviest, oid, mode)
		return nil
	})
	return heaviest, err
}

func heavier(all map[uint32]string, oid uint32, mode string) {
	if at := slices.Index(modes, mode); at >= 0 && at > slices.Index(modes, all[oid]) {
		all[oid] = mode
	}
}

func named(heaviest map[uint32]string, tables map[uint32]relation) []ship.TableLock {
	var locks []ship.TableLock
	for oid, mode := range heaviest {
		if t, ok := tables[oid]; ok {
			locks = append(locks, ship.TableLock{Table: t.name, Mode: spoken(mode)})
		}
	}
	slices.SortFunc(locks, func(a, b ship.TableLock) int { return strings.Compare(a.Table, b.Table) })
	return locks
}

// A watching is a watch of a shadow under way.
type watching struct {
	shadow *shadow
	conn   *pgx.Conn
	begun  *moment
	exact  bool // an event trigger tells the locks at the end of each command
	stop   func()

	mu          sync.Mutex
	seen        map[uint32]string // heaviest lock by table, sampled
	first, last time.Time         // when one was seen that keeps writers waiting
}

var _ database.Watch = (*watching)(nil)

// sampleEvery is how often the locks of others are looked at.
const sampleEvery = 3 * time.Millisecond

// Watch implements [database.Shadow].
func (s *shadow) Watch(ctx context.Context) (database.Watch, error) {
	conn, err := s.connect(ctx, reader, "")
	if err != nil {
		return nil, err
	}
	w := &watching{shadow: s, conn: conn, seen: map[uint32]string{}, stop: func() {}}
	w.exact = w.install(ctx)
	if w.begun, err = look(ctx, conn); err != nil {
		closeConn(ctx, conn)
		return nil, err
	}
	s.gauge = &gauge{watch: w}
	sampling, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.sample(sampling)
	}()
	w.stop = func() { cancel(); <-ended }
	return w, nil
}

// sample looks at the locks of other sessions until ctx ends.
func (w *watching) sample(ctx context.Context) {
	conn, err := w.shadow.connect(ctx, reader, "")
	if err != nil {
		return
	}
	defer closeConn(ctx, conn)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		rows, err := conn.Query(ctx, `SELECT relation, mode FROM pg_locks WHERE locktype = 'relation' AND granted AND pid <> pg_backend_pid()
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		if err != nil {
			return
		}
		now, err := collect(rows)
		if err != nil {
			return
		}
		w.mu.Lock()
		w.note(now)
		w.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (w *watching) note(now map[uint32]string) {
	for oid, mode := range now {
		heavier(w.seen, oid, mode)
		if _, ours := w.begun.tables[oid]; ours && slices.Index(modes, mode) >= slices.Index(modes, "ShareLock") {
			w.last = time.Now()
			if w.first.IsZero() {
				w.first = w.last
			}
		}
	}
}

func (w *watching) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.seen)
}

func (w *watching) seenSince(tables map[uint32]relation) []ship.TableLock {
	w.mu.Lock()
	defer w.mu.Unlock()
	return named(w.seen, tables)
}

// Stop implements [database.Watch]. What a tool did in sessions of its own is
// told command by command where an event trigger was allowed, and in one line
// with all that the tables show.
func (w *watching) Stop(ctx context.Context) ([]ship.Effect, error) {
	w.stop()
	defer closeConn(ctx, w.conn)
	g := w.shadow.gauge
	w.shadow.gauge = nil
	told, err := w.uninstall(ctx)
	if err != nil {
		return nil, err
	}
	if len(g.done) > 0 {
		return g.done, nil
	}
	now, err := look(ctx, w.conn)
	if err != nil {
		return nil, err
	}
	all := w.begun.effect(now, "all of it", now.at.Sub(w.begun.at))
	all.Locks, all.Sampled = w.seenSince(w.begun.tables), !w.exact
	all.HeldMS = millis(w.last.Sub(w.first))
	for _, e := range told {
		all.Locks = join(all.Locks, e.Locks)
	}
	return append(told, all), nil
}

// join keeps the heavier lock of each table.
func join(a, b []ship.TableLock) []ship.TableLock {
	for _, l := range b {
		at := slices.IndexFunc(a, func(have ship.TableLock) bool { return have.Table == l.Table })
		switch {
		case at < 0:
			a = append(a, l)
		case weight(l.Mode) > weight(a[at].Mode):
			a[at] = l
		}
	}
	return a
}

func weight(words string) int {
	return slices.IndexFunc(modes, func(m string) bool { return spoken(m) == words })
}
