package migratetest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

// ledgerTable is where a DB keeps its records.
const ledgerTable = "migratetest_ledger"

// A DB is a real database as a [migrate.Session] that holds the lock.
type DB struct {
	URL     string // of PostgreSQL, or the path of SQLite's file
	t       testing.TB
	pool    *sql.DB
	conn    *sql.Conn
	dialect string
}

var _ migrate.Session = (*DB)(nil)

// SQLite returns a new SQLite database in a file.
func SQLite(t testing.TB) *DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.sqlite3")
	return open(t, &DB{URL: path, t: t, dialect: "sqlite"}, "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
}

// Postgres returns a new PostgreSQL database.
func Postgres(t testing.TB) *DB {
	t.Helper()
	url := testneed.Postgres(t)
	return open(t, &DB{URL: url, t: t, dialect: "postgres"}, "pgx", url+"&default_query_exec_mode=simple_protocol")
}

func open(t testing.TB, d *DB, driver, dsn string) *DB {
	t.Helper()
	var err error
	if d.pool, err = sql.Open(driver, dsn); err != nil {
		t.Fatal(err)
	}
	if d.conn, err = d.pool.Conn(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.conn.Close()
		_ = d.pool.Close()
	})
	d.Exec("CREATE TABLE " + d.ledger() + " (id varchar(400) PRIMARY KEY, record text NOT NULL)")
	return d
}

// ledger names the table whatever search path a migration left behind.
func (d *DB) ledger() string {
	if d.dialect == "postgres" {
		return "public." + ledgerTable
	}
	return ledgerTable
}

// Pool returns the database as database/sql has it, for a library of the tool.
func (d *DB) Pool() *sql.DB { return d.pool }

// Exec carries out statements as somebody else would.
func (d *DB) Exec(statements ...string) {
	d.t.Helper()
	for _, s := range statements {
		if _, err := d.pool.ExecContext(context.Background(), s); err != nil {
			d.t.Fatalf("%s: %v", s, err)
		}
	}
}

// Tables returns the names of the application's tables, sorted.
func (d *DB) Tables() []string {
	d.t.Helper()
	query := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
	if d.dialect == "postgres" {
		query = "SELECT tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
	}
	rows, err := d.Rows(context.Background(), query)
	if err != nil {
		d.t.Fatal(err)
	}
	var names []string
	for _, row := range rows {
		if row[0] != ledgerTable {
			names = append(names, row[0])
		}
	}
	slices.Sort(names)
	return names
}

// Dialect implements [migrate.Session].
func (d *DB) Dialect() string { return d.dialect }

// NoTable implements [migrate.Session].
func (d *DB) NoTable(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "42P01"
	}
	return err != nil && strings.Contains(err.Error(), "no such table")
}

// Rows implements [migrate.Session].
func (d *DB) Rows(ctx context.Context, query string, args ...any) ([][]string, error) {
	rows, err := d.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all [][]string
	for rows.Next() {
		cells := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make([]string, len(cells))
		for i, c := range cells {
			row[i] = c.String
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// Ledger implements [migrate.Session].
func (d *DB) Ledger(ctx context.Context) ([]ship.Record, error) {
	rows, err := d.Rows(ctx, "SELECT record FROM "+d.ledger()+" ORDER BY id")
	if err != nil {
		return nil, err
	}
	var all []ship.Record
	for _, row := range rows {
		var r ship.Record
		if err := json.Unmarshal([]byte(row[0]), &r); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// execer is a connection or a transaction on it.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Do implements [migrate.Session].
func (d *DB) Do(ctx context.Context, w ship.Work) error {
	if !w.Atomic {
		if len(w.Statements) > 1 {
			return fmt.Errorf("%d statements outside a transaction", len(w.Statements))
		}
		if err := execute(ctx, d.conn, w.Statements); err != nil {
			return err
		}
		w.Statements = nil
	}
	tx, err := d.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := execute(ctx, tx, w.Statements); err != nil {
		_ = tx.Rollback()
		return err
	}
	if err := d.record(ctx, tx, w); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

func execute(ctx context.Context, e execer, statements []string) error {
	for i, s := range statements {
		if _, err := e.ExecContext(ctx, s); err != nil {
			return &ship.StatementError{Index: i, Err: err}
		}
	}
	return nil
}

func (d *DB) record(ctx context.Context, e execer, w ship.Work) error {
	forget := slices.Clone(w.Forget)
	for _, r := range w.Record {
		forget = append(forget, r.Migration)
	}
	for _, id := range forget {
		if _, err := e.ExecContext(ctx, "DELETE FROM "+d.ledger()+" WHERE id = $1", id); err != nil {
			return err
		}
	}
	for _, r := range w.Record {
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if _, err := e.ExecContext(ctx, "INSERT INTO "+d.ledger()+" (id, record) VALUES ($1, $2)", r.Migration, string(text)); err != nil {
			return err
		}
	}
	return nil
}
